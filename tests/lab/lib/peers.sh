# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=bash disable=SC2154  # guest_arch comes from those who source this
# The other VMMs of this machine as an overlay for L1, for measurements side by side.

# copy_program TREE PROGRAM: with the libraries it loads, at their own paths.
copy_program() {
  local file
  for file in "$2" $(ldd "$2" 2>/dev/null | grep -o '/[^ ]*'); do
    install -D -m 755 "$(readlink -f "$file")" "$1$file"
  done
}

# peers_overlay FOLDER: FOLDER/peers.cpio
peers_overlay() {
  local tree=$1/tree file
  if [[ $guest_arch == x86_64 ]]; then copy_program "$tree" "$(command -v qemu-system-x86_64)"; fi
  for file in /usr/share/{qemu,seabios}/{bios-256k,bios-microvm,linuxboot_dma,pvh,kvmvapic}.bin; do
    [[ ! -e $file ]] || install -D -m 644 "$(readlink -f "$file")" "$tree$file"
  done
  if command -v lkvm >/dev/null; then copy_program "$tree" "$(command -v lkvm)"; fi
  pack "$tree" >"$1/peers.cpio"
}
