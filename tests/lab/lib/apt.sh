# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2154  # cache comes from common.sh
# Debian packages as files: downloaded by apt for any architecture, unpacked, never installed. Needs
# no root and changes nothing of the system's.

apt_options=(-o APT::Sandbox::User=root)

# debian_arch ARCH: Debian's name of it.
debian_arch() {
  case $1 in
    x86_64) echo amd64 ;;
    aarch64) echo arm64 ;;
    *) die "no Debian packages for the architecture $1" ;;
  esac
}

# apt_for ARCH: what follows is about its packages. The system's own lists are the first choice, but
# know only its own architecture.
apt_for() {
  apt_lists=$cache/$1/apt
  apt_foreign=false
  apt_options=(-o APT::Sandbox::User=root)
  if [[ $(debian_arch "$1") != $(dpkg --print-architecture) ]]; then
    apt_foreign=true
    apt_options+=(-o "APT::Architecture=$(debian_arch "$1")"
      -o "APT::Architectures=$(debian_arch "$1")" -o Dir::State::status=/dev/null)
    apt_use_own_lists
    [[ -e $apt_lists/log ]] || refresh_lists
  fi
}

apt_use_own_lists() {
  mkdir -p "$apt_lists/lists/partial" "$apt_lists/cache/archives/partial"
  apt_options+=(-o "Dir::State::Lists=$apt_lists/lists" -o "Dir::Cache=$apt_lists/cache"
    -o Debug::NoLocking=1)
}

# Package lists of our own, for machines whose lists are missing, out of date or of another
# architecture.
refresh_lists() {
  $apt_foreign || apt_use_own_lists
  say 'reading package lists from the Debian mirror'
  apt-get "${apt_options[@]}" -q update >"$apt_lists/log" 2>&1 ||
    say "apt-get update: $(grep -m 1 -E '^[EW]:' "$apt_lists/log" || echo 'failed')"
}

# kernel_package META: the package that the meta package stands for today.
kernel_package() {
  apt-cache "${apt_options[@]}" depends "$1" 2>/dev/null |
    sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1
}

# download FOLDER PACKAGE...: their .deb files; false when apt cannot.
download() {
  local into=$1
  shift
  say "downloading $*"
  (cd "$into" && apt-get "${apt_options[@]}" -q download "$@") >"$into/log" 2>&1
}

# unpack_packages FOLDER ROOT: the .deb files of the folder.
unpack_packages() {
  local deb
  for deb in "$1"/*.deb; do dpkg -x "$deb" "$2"; done
}
