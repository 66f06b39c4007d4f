#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#
# board_guest.sh: a guest that has drivers for virtio I2C and GPIO, and simulated hardware of its own.
#
# No kernel package of Debian has these drivers, so their sources (linux-source) are built as modules
# for Debian's generic kernel: i2c-virtio, gpio-virtio and gpio-sim. Downloads 240 MB on first use,
# installs nothing; the result is in the lab's cache. Prints the paths of the kernel and the initramfs.
set -euo pipefail

lab=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../lab" && pwd)
# shellcheck source=../lab/lib/common.sh
source "$lab/lib/common.sh"
# shellcheck source=../lab/lib/apt.sh
source "$lab/lib/apt.sh"
# shellcheck source=../lab/lib/image.sh
source "$lab/lib/image.sh"

kit=$cache/board-x86_64
modules=(virtio_pci i2c-virtio gpio-virtio gpio-sim i2c-dev i2c-stub at24)

download_parts() {
  local into=$1 kernel release
  kernel=$(kernel_package linux-image-amd64)
  release=${kernel#linux-image-}
  [[ -n $kernel ]] && download "$into" "$kernel" "linux-headers-$release" \
    "linux-headers-${release%-amd64}-common" "linux-kbuild-${release%.*}" \
    "linux-source-${release%.*}" busybox-static
}

# build_modules ROOT: out of the unpacked packages, into their own module folder.
build_modules() {
  local root=$1 release headers source=$1/source
  release=$(basename "$root"/lib/modules/*)
  headers=$root/usr/src/linux-headers-$release
  sed -i "s|/usr/src/|$root/usr/src/|" "$headers/Makefile"
  mkdir "$source"
  tar xf "$root"/usr/src/linux-source-*.tar.xz -C "$source" --strip-components=1 --wildcards \
    '*/drivers/i2c/busses/i2c-virtio.c' '*/drivers/gpio/gpio-virtio.c' '*/drivers/gpio/gpio-sim.c' \
    '*/drivers/gpio/gpiolib.h' '*/kernel/irq/irq_sim.c'
  mkdir "$root/modules"
  cp "$source"/drivers/i2c/busses/i2c-virtio.c "$source"/drivers/gpio/{gpio-virtio.c,gpiolib.h} \
    "$source"/kernel/irq/irq_sim.c "$root/modules"
  cp "$source/drivers/gpio/gpio-sim.c" "$root/modules/sim.c"
  # The one function that modules may not call.
  sed -i 's/handle_simple_irq(irq_to_desc(\(.*\)));/generic_handle_irq(\1);/' "$root/modules/irq_sim.c"
  printf '%s\n' 'obj-m := i2c-virtio.o gpio-virtio.o gpio-sim.o' 'gpio-sim-y := sim.o irq_sim.o' \
    >"$root/modules/Kbuild"
  make -s -C "$headers" M="$root/modules" modules
  install -D -m 644 -t "$root/lib/modules/$release/extra" "$root"/modules/*.ko
}

make_kit() {
  local release
  work=$(mktemp -d "$kit/fetch.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  apt_for x86_64
  download_parts "$work" || { refresh_lists && download_parts "$work"; } ||
    die "download failed: $(tail -n 1 "$work/log")"
  unpack_packages "$work" "$work/root"
  build_modules "$work/root" >&2
  release=$(basename "$work"/root/lib/modules/*)
  mkdir "$work/linux"
  mv "$work/root/boot/vmlinuz-$release" "$work/linux/vmlinuz"
  depmod --basedir "$work/root" "$release"
  mv "$work/root/lib/modules" "$work/linux/modules"
  mv "$work/root/bin/busybox" "$kit/busybox"
  echo "$release" >"$work/linux/release"
  mv "$work/linux" "$kit/linux"
}

build_board() {
  build_l2 "$1"
  ln -s ../bin/busybox "$1/sbin/modprobe"
  modules_tree "$1" "${modules[@]}"
}

need apt-get apt-cache dpkg depmod make gcc flock
mkdir -p "$kit"
(
  flock 9
  [[ -e $kit/linux/release ]] || make_kit
) 9>"$kit/lock"
echo "$kit/linux/vmlinuz"
cached "board-$(sha256sum <"${BASH_SOURCE[0]}" | cut -c 1-8)" "$lab_dir/init/l2" build_board
