# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2154  # kit, arch and apt_options come from others
# Debian's fio with its libraries, unpacked in the cache, not installed: for L1 and for guests.

# fio_packages: the package and all libraries it depends on.
fio_packages() {
  apt-cache "${apt_options[@]}" depends --recurse --no-pre-depends --no-recommends --no-suggests \
    --no-conflicts --no-breaks --no-replaces --no-enhances fio 2>/dev/null |
    grep -E '^(fio|zlib1g|lib[^:<>]*)$' | grep -vE '^lib(python|perl|sqlite|debian-installer)' | sort -u
}

# debian_fio: prints the path of the program.
debian_fio() {
  local root
  need apt-get apt-cache dpkg flock
  root=$kit/fio-$(key_of "${BASH_SOURCE[0]}")
  if [[ ! -d $root ]]; then
    (
      flock 9
      [[ ! -d $root ]] || exit 0
      work=$(mktemp -d "$kit/fio.XXXXXX")
      trap 'rm -rf "$work"' EXIT
      apt_for "$arch"
      # shellcheck disable=SC2046  # a list of words
      download "$work" $(fio_packages) || {
        refresh_lists
        download "$work" $(fio_packages) || die "download failed: $(tail -n 1 "$work/log")"
      }
      unpack_packages "$work" "$work/root"
      rm -rf "$work/root/usr/share" "$kit"/fio-*
      mv "$work/root" "$root"
    ) 9>"$kit/fio.lock" || exit
  fi
  [[ -x $root/usr/bin/fio ]] || die "fio: not in Debian's packages"
  echo "$root/usr/bin/fio"
}
