# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2154  # kit, arch and lab_dir come from common.sh
# A guest whose first program is systemd of Debian 13, for what Debian 12's does not do: it tells its host
# that it is up. An initramfs of systemd, its libraries and busybox.

systemd_packages=(libacl1 libapparmor1 libaudit1 libblkid1 libc6 libcap-ng0 libcap2 libcrypt1 libkmod2
  liblzma5 libmount1 libpam0g libpcre2-8-0 libseccomp2 libselinux1 libssl3t64 libsystemd-shared
  libsystemd0 libzstd1 liblz4-1 zlib1g mount systemd)

build_l2_systemd() {
  local tree=$1 work
  work=$(mktemp -d "$kit/systemd.XXXXXX")
  (
    kit=$kit/trixie
    mkdir -p "$kit"
    apt_for_trixie
    download "$work" "${systemd_packages[@]}"
  ) || die "download failed: $(tail -n 1 "$work/log")"
  unpack_packages "$work" "$work/root"
  mkdir -p "$tree"/{usr/bin,usr/sbin,dev,proc,sys,tmp,run,etc,root,var}
  for name in bin sbin lib lib64; do ln -s "usr/$name" "$tree/$name"; done
  cp -a "$work/root/usr/lib" "$tree/usr/"
  if [[ -d $work/root/usr/lib64 ]]; then cp -a "$work/root/usr/lib64" "$tree/usr/"; fi
  cp -a "$work/root/usr/bin/"{systemctl,systemd-creds,systemd-notify} "$tree/usr/bin/"
  cp "$work/root/usr/bin/"{mount,umount} "$tree/usr/bin/"
  cp "$kit/busybox" "$tree/usr/bin/busybox"
  for name in sh sleep cat ls poweroff; do ln -s busybox "$tree/usr/bin/$name"; done
  ln -s ../bin/busybox "$tree/usr/sbin/modprobe"
  printf '%s\n' root:x:0:0::/root:/bin/sh >"$tree/etc/passwd"
  printf '%s\n' root:x:0: >"$tree/etc/group"
  : >"$tree/etc/os-release"
  : >"$tree/etc/machine-id"
  modules_tree "$tree" virtio_pci vmw_vsock_virtio_transport
  install -m 755 "$lab_dir/init/l2-systemd" "$tree/init"
  mkdir -p "$tree/etc/systemd/system"
  cat >"$tree/etc/systemd/system/up.target" <<'END'
[Unit]
Description=What a test waits for
DefaultDependencies=no
Wants=report.service
END
  cat >"$tree/etc/systemd/system/report.service" <<'END'
[Unit]
DefaultDependencies=no
[Service]
Type=oneshot
StandardOutput=tty
ExecStart=/bin/sh -c 'echo "guest: systemd is there"; /usr/bin/systemd-creds --system list; cat /run/credentials/@system/greeting'
END
  rm -rf "$work"
}

l2_systemd_image() { cached systemd "${BASH_SOURCE[0]}" build_l2_systemd; }
