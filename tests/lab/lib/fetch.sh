# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2154  # cache, kit, arch and lab_dir come from common.sh
# Debian's kernel and busybox into the cache: downloaded and unpacked, never installed.
#
# Afterwards $kit, the architecture's folder in the cache, holds linux/ (vmlinuz, release, modules/,
# for x86_64 also vmlinux) and busybox.

fetched() { [[ -e $kit/linux/release && -x $kit/busybox ]]; }

download_packages() {
  local into=$1 kernel meta
  meta=linux-image-cloud-$(debian_arch "$arch")
  kernel=$(kernel_package "$meta")
  [[ -n $kernel ]] && download "$into" "$kernel" busybox-static && return
  refresh_lists
  kernel=$(kernel_package "$meta")
  [[ -n $kernel ]] || die "apt knows no $meta: see $apt_lists/log"
  download "$into" "$kernel" busybox-static || die "download failed: $(tail -n 1 "$into/log")"
}

# unpack FOLDER: from its .deb files to the cache, each result put in place by one rename.
unpack() {
  local work=$1 release
  unpack_packages "$work" "$work/root"
  release=$(basename "$work"/root/lib/modules/*)
  say "unpacking the kernel $release"
  mkdir "$work/linux"
  cp "$work/root/boot/vmlinuz-$release" "$work/linux/vmlinuz"
  if [[ $arch == x86_64 ]]; then
    "$lab_dir/lib/extract_vmlinux.py" "$work/linux/vmlinuz" "$work/linux/vmlinux"
  fi
  mv "$work/root/lib/modules" "$work/linux/modules"
  mkdir "$work/tree"
  ln -s . "$work/tree/lib"
  ln -s ../linux/modules "$work/tree/modules"
  depmod --basedir "$work/tree" "$release"
  echo "$release" >"$work/linux/release"
  mv "$work/root/bin/busybox" "$kit/busybox"
  rm -rf "$kit/linux"
  mv "$work/linux" "$kit/linux"
}

# fetch [--update]: does nothing when all is there, unless asked for newer versions.
fetch() {
  if [[ ${1:-} != --update ]] && fetched; then return; fi
  need apt-get apt-cache dpkg depmod python3 flock
  mkdir -p "$kit"
  (
    flock 9
    if [[ ${1:-} != --update ]] && fetched; then exit; fi
    local work=$kit/fetch.$$
    mkdir "$work"
    trap 'rm -rf "$work"' EXIT
    apt_for "$arch"
    if [[ ${1:-} == --update ]]; then refresh_lists; fi
    download_packages "$work"
    unpack "$work"
    say "kernel and busybox are in $kit"
  ) 9>"$kit/lock"
}
