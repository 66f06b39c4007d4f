# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh
#
# install.sh [FOLDER]: the second stage of making the Debian guest. In the folder (in L1: on the file
# system of ./disk) are the essential packages, unpacked, and all packages as files in /debs; they get
# installed, each by its own scripts.
set -e

root=${1:-/disk}
if [ $# = 0 ]; then
  mkdir -p "$root"
  mount -t ext4 -o discard,nobarrier disk "$root"
fi
chown -R -h 0:0 "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs tmpfs "$root/run"
mount -t tmpfs tmpfs "$root/tmp"

# in_root PATH ARGUMENT...: a program of the new system (without its path busybox would run its own),
# with nothing of this one in the environment.
in_root() {
  env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C DEBIAN_FRONTEND=noninteractive \
    DEBCONF_NONINTERACTIVE_SEEN=true chroot "$root" "$@"
}

# write PATH: a file of the new system, from the standard input.
write() {
  mkdir -p "$root/${1%/*}"
  cat >"$root/$1"
}

# No service starts while it is installed.
write usr/sbin/policy-rc.d <<'END'
#!/bin/sh
exit 101
END
chmod 755 "$root/usr/sbin/policy-rc.d"
write etc/dpkg/dpkg.cfg.d/guest <<'END'
force-unsafe-io
path-exclude=/usr/share/doc/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/locale/*
END
mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates"
touch "$root/var/lib/dpkg/status" "$root/var/lib/dpkg/available"

in_root /bin/sh -c 'cd /debs/essential && dpkg --force-depends --force-confnew --install *.deb'
in_root /bin/sh -c 'cd /debs/others && dpkg --force-depends --force-confnew --unpack *.deb'
in_root /usr/bin/dpkg --configure --pending
in_root /usr/bin/dpkg --audit
rm -rf "$root/debs" "$root/usr/sbin/policy-rc.d"

# What a person would be asked by an installer.
echo guest | write etc/hostname
printf '127.0.0.1 localhost guest\n::1 localhost\n' | write etc/hosts
echo '/dev/vda / ext4 errors=remount-ro 0 1' | write etc/fstab
echo root:guest | in_root /usr/sbin/chpasswd
in_root /usr/bin/systemd-machine-id-setup
in_root /usr/bin/ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
cp "$root/root/.ssh/id_ed25519.pub" "$root/root/.ssh/authorized_keys"

# ssh over vsock: one sshd a connection.
write etc/systemd/system/ssh-vsock.socket <<'END'
[Socket]
ListenStream=vsock::22
Accept=yes

[Install]
WantedBy=sockets.target
END
write etc/systemd/system/ssh-vsock@.service <<'END'
[Service]
ExecStart=-/usr/sbin/sshd -i
StandardInput=socket
RuntimeDirectory=sshd
RuntimeDirectoryPreserve=yes
END

# Nothing of a schedule starts in the middle of a test.
in_root /usr/bin/systemctl mask apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
  e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-tmpfiles-clean.timer

umount "$root/tmp" "$root/run" "$root/proc"
umount -l "$root/dev"
if [ $# = 0 ]; then umount "$root"; fi
echo 'Debian is installed'
