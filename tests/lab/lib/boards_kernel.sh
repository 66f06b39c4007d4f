# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2154  # kit, arch and lab_dir come from common.sh
# A kernel for L1 that gives devices of boards to guests (VFIO_PLATFORM, VFIO_AMBA, VFIO_NOIOMMU), which
# Debian's do not: built from Debian's own source. Five minutes of two processors; what was interrupted
# goes on where it was.

# make_boards WORK [ARGUMENT...]
make_boards() {
  local work=$1
  shift
  nice make -s -C "$work/source" ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- KBUILD_BUILD_TIMESTAMP=@0 "$@"
}

unpack_source() {
  local work=$1
  if [[ -e $work/unpacked ]]; then return; fi
  rm -rf "$work"
  mkdir -p "$work/source"
  apt_for "$(uname -m)"
  download "$work" linux-source-6.1 || { refresh_lists && download "$work" linux-source-6.1; } ||
    die "download failed: $(tail -n 1 "$work/log")"
  unpack_packages "$work" "$work/package"
  tar xf "$work"/package/usr/src/linux-source-*.tar.xz -C "$work/source" --strip-components=1
  rm -rf "$work/package" "$work"/*.deb
  # It asks for a reset driver even of devices that need none (vfio_amba.c), by the value it returns.
  sed -i '/^int vfio_platform_init_common/,/^}/ s/^\treturn ret;$/\treturn vdev->reset_required ? ret : 0;/' \
    "$work/source/drivers/vfio/platform/vfio_platform_common.c"
  touch "$work/unpacked"
}

build_boards_kernel() {
  local work=$1
  unpack_source "$work"
  make_boards "$work" tinyconfig
  "$work/source/scripts/kconfig/merge_config.sh" -m -O "$work/source" "$work/source/.config" \
    "$lab_dir/boards.config"
  make_boards "$work" olddefconfig
  make_boards "$work" -j "$(nproc)" Image
}

# boards_kernel: prints its path.
boards_kernel() {
  local file work
  [[ $arch == aarch64 ]] || die 'boards_kernel: for aarch64'
  need aarch64-linux-gnu-gcc apt-get bc bison dpkg flex flock make xz
  file=$kit/boards-kernel-$(key_of "$lab_dir/boards.config" "${BASH_SOURCE[0]}")
  if [[ ! -e $file ]]; then
    (
      flock 9
      [[ ! -e $file ]] || exit 0
      work=$kit/boards-kernel
      say 'building a kernel for L1, which takes minutes'
      build_boards_kernel "$work" >"$kit/boards-kernel.log" 2>&1 ||
        die "the kernel could not be built: see $kit/boards-kernel.log"
      rm -f "$kit"/boards-kernel-*
      cp "$work/source/arch/arm64/boot/Image" "$file"
      rm -rf "$work"
    ) 9>"$kit/boards-kernel.lock" || exit
  fi
  echo "$file"
}
