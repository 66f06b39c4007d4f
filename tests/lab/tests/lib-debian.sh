# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh disable=SC2154,SC2034  # what it shares with lib.sh
# For the lab's tests with a Debian guest, after lib.sh. The disk image is there twice: ./debian is
# the guest's disk, ./tools is for the programs that the test itself runs (tool PROGRAM ...).

if ! mkdir -p debian-tools || ! mount -o ro tools debian-tools; then
  skip 'Debian guests' 'its programs need a mount'
  exit
fi
mount -t proc proc debian-tools/proc
mount --bind /dev debian-tools/dev
mount -t tmpfs tmpfs debian-tools/tmp
mount --bind "$PWD" debian-tools/mnt

enter=

# tool PROGRAM ARGUMENT...: a program of Debian's in L1; this folder is /mnt there.
tool() { env -i PATH=/usr/sbin:/usr/bin HOME=/root LC_ALL=C chroot debian-tools "$@"; }

# debian [ARGUMENT...]: Debian in the background from its disk; its serial port is a terminal: what
# it prints goes to $log, and keys types there. $enter may say where it runs.
debian() {
  : >"$log"
  : >vmm.err
  $enter vmm-reference --kernel vmlinuz --initramfs debian.cpio --serial pty \
    --cmdline "console=$console root=/dev/vda panic=-1 quiet systemd.show_status=0 TERM=dumb" \
    --disk path=debian,image_type=raw "$@" </dev/null >out.log 2>vmm.err &
  vmm_pid=$!
  until terminal=$(sed -n 's|.*\(/dev/pts/[0-9]*\).*|\1|p' vmm.err) && [ -n "$terminal" ]; do
    alive || return
    sleep 0.1
  done
  cat "$terminal" >"$log" 2>/dev/null &
}

keys() { echo "$1" >"$terminal"; }

# login NAME [COUNT]: when the guest asks for the COUNTth time, somebody logs in and gets a shell.
login() {
  began=$(cut -d . -f 1 /proc/uptime)
  if says 'guest login: ' "${2:-1}" 400 && keys root && says 'Password: ' "${2:-1}" 60 && keys guest &&
    says '^Linux guest' "${2:-1}" 120; then
    pass "$1"
    echo "    after $(($(cut -d . -f 1 /proc/uptime) - began)) s"
  else
    fail "$1"
    return 1
  fi
}

# script_disk: the file `script` as a disk that a shell can read as its script.
script_disk() {
  echo exit >>script
  dd if=script of=script.img bs=64k conv=sync 2>/dev/null
}

# run_script NAME SECONDS [COUNT]: the guest runs ./script from that disk, for the COUNTth time.
run_script() {
  keys 'echo; sh /dev/disk/by-id/virtio-script; echo "script ended"'
  if says '^script ended' "${3:-1}" "$2"; then pass "$1"; else fail "$1" 'it did not end'; fi
}

# power_off NAME: the guest powers off as a person would have it, and the VMM ends with 0.
power_off() {
  keys poweroff
  finish 120
  check "$1" [ "$vmm_status" = 0 ]
}
