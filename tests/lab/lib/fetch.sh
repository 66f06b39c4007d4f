# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2154  # cache and lab_dir come from common.sh
# Debian's kernel and busybox into the cache: downloaded and unpacked, never installed.
#
# Afterwards the cache holds linux/ (vmlinuz, vmlinux, release, modules/) and busybox.

kernel_meta=linux-image-cloud-amd64
apt_options=()

fetched() { [[ -e $cache/linux/vmlinux && -x $cache/busybox ]]; }

# The package that the meta package stands for today.
kernel_package() {
  apt-cache "${apt_options[@]}" depends "$kernel_meta" 2>/dev/null |
    sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n 1
}

# Package lists of our own, for machines whose lists are missing or out of date. Needs no root.
refresh_lists() {
  local lists=$cache/apt
  mkdir -p "$lists/lists/partial" "$lists/cache/archives/partial"
  apt_options=(-o "Dir::State::Lists=$lists/lists" -o "Dir::Cache=$lists/cache"
    -o Debug::NoLocking=1)
  say 'reading package lists from the Debian mirror'
  apt-get "${apt_options[@]}" -o APT::Sandbox::User=root -q update >"$lists/log" 2>&1 ||
    say "apt-get update: $(grep -m 1 -E '^[EW]:' "$lists/log" || echo 'failed')"
}

# download FOLDER PACKAGE...: their .deb files; false when apt cannot.
download() {
  local into=$1
  shift
  say "downloading $*"
  (cd "$into" && apt-get "${apt_options[@]}" -o APT::Sandbox::User=root -q download "$@") \
    >"$into/log" 2>&1
}

download_packages() {
  local into=$1 kernel
  kernel=$(kernel_package)
  [[ -n $kernel ]] && download "$into" "$kernel" busybox-static && return
  refresh_lists
  kernel=$(kernel_package)
  [[ -n $kernel ]] || die "apt knows no $kernel_meta: see $cache/apt/log"
  download "$into" "$kernel" busybox-static || die "download failed: $(tail -n 1 "$into/log")"
}

# unpack FOLDER: from its .deb files to the cache, each result put in place by one rename.
unpack() {
  local work=$1 deb release
  for deb in "$work"/*.deb; do dpkg -x "$deb" "$work/root"; done
  release=$(basename "$work"/root/lib/modules/*)
  say "unpacking the kernel $release"
  mkdir "$work/linux"
  echo "$release" >"$work/linux/release"
  cp "$work/root/boot/vmlinuz-$release" "$work/linux/vmlinuz"
  "$lab_dir/lib/extract_vmlinux.py" "$work/linux/vmlinuz" "$work/linux/vmlinux"
  mv "$work/root/lib/modules" "$work/linux/modules"
  mkdir "$work/tree"
  ln -s . "$work/tree/lib"
  ln -s ../linux/modules "$work/tree/modules"
  depmod --basedir "$work/tree" "$release"
  mv "$work/root/bin/busybox" "$cache/busybox"
  rm -rf "$cache/linux"
  mv "$work/linux" "$cache/linux"
}

# fetch [--update]: does nothing when all is there, unless asked for newer versions.
fetch() {
  if [[ ${1:-} != --update ]] && fetched; then return; fi
  need apt-get apt-cache dpkg depmod python3 flock
  mkdir -p "$cache"
  (
    flock 9
    if [[ ${1:-} != --update ]] && fetched; then exit; fi
    local work=$cache/fetch.$$
    mkdir "$work"
    trap 'rm -rf "$work"' EXIT
    download_packages "$work"
    unpack "$work"
    say "kernel and busybox are in $cache"
  ) 9>"$cache/lock"
}
