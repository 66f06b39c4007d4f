# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2154  # kit, arch and lab_dir come from common.sh
# Debian's own back ends of vhost-user: virtiofsd and qemu-storage-daemon of QEMU's packages, with
# the libraries that they need; unpacked in the cache, not installed.

daemon_packages=(qemu-system-common libaio1 libcap-ng0 libffi8 libfuse3-3 libglib2.0-0 libgmp10
  libgnutls30 libhogweed6 libidn2-0 libnettle8 libnuma1 libp11-kit0 libpcre2-8-0 libseccomp2
  libtasn1-6 libunistring2 liburing2 libzstd1 zlib1g)

# debian_daemons: prints the folder. Of the packages it keeps libraries and these programs.
debian_daemons() {
  local root
  need apt-get dpkg flock
  root=$kit/daemons-$(key_of "${BASH_SOURCE[0]}")
  if [[ ! -d $root ]]; then
    (
      flock 9
      [[ ! -d $root ]] || exit 0
      work=$(mktemp -d "$kit/daemons.XXXXXX")
      trap 'rm -rf "$work"' EXIT
      apt_for "$arch"
      download "$work" "${daemon_packages[@]}" || {
        refresh_lists
        download "$work" "${daemon_packages[@]}" || die "download failed: $(tail -n 1 "$work/log")"
      }
      unpack_packages "$work" "$work/root"
      rm -rf "$work/root/usr/share" "$kit"/daemons-*
      mv "$work/root" "$root"
    ) 9>"$kit/daemons.lock" || exit
  fi
  echo "$root"
}

# debian_daemon NAME: prints the path of the program.
debian_daemon() {
  local root found
  root=$(debian_daemons) || exit
  for found in "$root/usr/lib/qemu/$1" "$root/usr/bin/$1"; do
    if [[ -x $found ]]; then echo "$found" && return; fi
  done
  die "$1: not in Debian's packages"
}
