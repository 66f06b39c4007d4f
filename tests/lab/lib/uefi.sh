# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2154  # kit, arch and lab_dir come from common.sh
# Debian's UEFI for guests on aarch64: U-Boot, and a disk from which it starts Debian's GRUB, which starts
# Debian's kernel. Unpacked in the cache, not installed.

uefi_packages=(u-boot-qemu grub-efi-arm64-bin)

# uefi_tree ROOT TREE: what is on the disk. U-Boot looks for the loader of removable media, GRUB for its
# configuration in Debian's folder.
uefi_tree() {
  mkdir -p "$2/efi/boot" "$2/EFI/debian"
  cp "$1/usr/lib/grub/arm64-efi/monolithic/grubaa64.efi" "$2/efi/boot/bootaa64.efi"
  cp "$kit/linux/vmlinuz" "$2/vmlinuz"
  cp "$(debian_initramfs_image)" "$2/debian.cpio"
  cat >"$2/EFI/debian/grub.cfg" <<'END'
linux /vmlinuz console=ttyAMA0 root=/dev/vdb panic=-1 quiet systemd.show_status=0 TERM=dumb
initrd /debian.cpio
boot
END
}

# uefi_disk TREE IMAGE: one partition, of Linux, that can be booted.
uefi_disk() {
  truncate -s 256M "$2"
  printf '\200\0\0\0\203\0\0\0\0\010\0\0\0\360\007\0' |
    dd of="$2" bs=1 seek=446 conv=notrunc status=none
  printf '\125\252' | dd of="$2" bs=1 seek=510 conv=notrunc status=none
  mke2fs -q -t ext4 -O ^metadata_csum,^64bit -E offset=1048576 -d "$1" "$2" 254M
}

# uefi firmware|disk: prints the path.
uefi() {
  local folder
  need apt-get dpkg flock mke2fs
  [[ $arch == aarch64 ]] || die 'Debian packages no UEFI that fits for x86_64'
  folder=$kit/uefi-$(key_of "${BASH_SOURCE[0]}" "$(debian_initramfs_image)")
  if [[ ! -d $folder ]]; then
    (
      flock 9
      [[ ! -d $folder ]] || exit 0
      work=$(mktemp -d "$kit/uefi.XXXXXX")
      trap 'rm -rf "$work"' EXIT
      apt_for "$arch"
      download "$work" "${uefi_packages[@]}" || {
        refresh_lists
        download "$work" "${uefi_packages[@]}" || die "download failed: $(tail -n 1 "$work/log")"
      }
      unpack_packages "$work" "$work/root"
      uefi_tree "$work/root" "$work/tree"
      mkdir "$work/made"
      cp "$work/root/usr/lib/u-boot/qemu_arm64/u-boot.bin" "$work/made/firmware"
      uefi_disk "$work/tree" "$work/made/disk"
      rm -rf "$kit"/uefi-????????????????
      mv "$work/made" "$folder"
    ) 9>"$kit/uefi.lock" || exit
  fi
  echo "$folder/$1"
}
