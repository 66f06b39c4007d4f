# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2034,SC2154  # kit and arch come from common.sh, apt.sh uses the rest
# Guests, and L1, with other kernels of Debian, for what the lab's own does not have: "trixie" is the cloud
# kernel of Debian 13, "generic" the kernel of Debian 12 for all hardware. Each has a folder in the cache
# that is a kit like the other one.

apt_for_trixie() {
  apt_lists=$kit/apt
  mkdir -p "$apt_lists"
  echo 'deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main' \
    >"$apt_lists/sources.list"
  apt_foreign=true
  apt_options=(-o APT::Sandbox::User=root -o "APT::Architecture=$(debian_arch "$arch")"
    -o "APT::Architectures=$(debian_arch "$arch")" -o Dir::State::status=/dev/null
    -o "Dir::Etc::sourcelist=$apt_lists/sources.list" -o Dir::Etc::sourceparts=-)
  apt_use_own_lists
  [[ -e $apt_lists/log ]] || refresh_lists
}

# unpack_other FOLDER: as unpack() does, with modules that busybox can load.
unpack_other() {
  local work=$1 modules release
  unpack_packages "$work" "$work/root"
  modules=$work/root/usr/lib/modules
  if [[ ! -d $modules ]]; then modules=$work/root/lib/modules; fi
  release=$(basename "$modules"/*)
  mkdir "$work/linux"
  cp "$work/root/boot/vmlinuz-$release" "$work/linux/vmlinuz"
  find "$modules" -name '*.ko.xz' -exec xz -d {} +
  mv "$modules" "$work/linux/modules"
  mkdir "$work/tree"
  ln -s . "$work/tree/lib"
  ln -s ../linux/modules "$work/tree/modules"
  depmod --basedir "$work/tree" "$release"
  echo "$release" >"$work/linux/release"
  rm -rf "$kit/linux"
  mv "$work/linux" "$kit/linux"
}

# fetch_other META: the kernel that the meta package stands for, once apt_for... has been told where to look.
fetch_other() {
  local kernel
  work=$kit/fetch.$$ # not local: the trap needs it
  mkdir "$work"
  trap 'rm -rf "$work"' EXIT
  kernel=$(kernel_package "$1")
  if [[ -z $kernel ]] || ! download "$work" "$kernel"; then
    refresh_lists
    kernel=$(kernel_package "$1")
    [[ -n $kernel ]] || die "apt knows no $1: see $apt_lists/log"
    download "$work" "$kernel" || die "download failed: $(tail -n 1 "$work/log")"
  fi
  unpack_other "$work"
}

# use_other_kernel trixie|generic: what is called from now on uses its kit.
use_other_kernel() {
  local busybox=$kit/busybox
  kit=$kit/$1
  need xz
  mkdir -p "$kit"
  (
    flock 9
    if [[ -e $kit/linux/release ]]; then exit; fi
    case $1 in
      trixie)
        apt_for_trixie
        fetch_other "linux-image-cloud-$(debian_arch "$arch")"
        ;;
      generic)
        apt_for "$arch"
        fetch_other "linux-image-$(debian_arch "$arch")"
        ;;
    esac
  ) 9>"$kit/lock" || exit
  cp "$busybox" "$kit/busybox"
}

# other_kernel trixie|generic vmlinuz|l2_virtio: the kernel, and a guest's initramfs with drivers.
other_kernel() {
  local kit=$kit
  use_other_kernel "$1"
  case $2 in
    vmlinuz) echo "$kit/linux/vmlinuz" ;;
    l2_virtio) l2_virtio_image ;;
  esac
}
