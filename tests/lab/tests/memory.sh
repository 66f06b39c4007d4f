# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# needs: vmm-reference vmlinuz guest.cpio
. ./lib.sh

# The kernel sees all of it, except for the legacy hole below 1 MiB and what firmware tables take.
sees() {
  ram=$(value memory)
  [ -n "$ram" ] && [ "$ram" -le "$1" ] && [ "$ram" -ge $(($1 - 1024)) ]
}

try() { # SIZE KIB WORD
  guest "vmm.test=$3" --memory "size=$1"
  boots "$1 of memory: boots and powers off"
  check "$1 of memory: the guest sees it" sees "$2"
}

if [ "$arch" = aarch64 ]; then
  try 256M $((256 << 10)) poweroff
  try 3G $((3 << 20)) dmesg
  try 3500M $((3500 << 10)) dmesg
  clean '3500M (on both sides of the hole): no complaints'
  try 209719296 204804 poweroff
  exit
fi
try 128M $((128 << 10)) poweroff
try 3584M $((3584 << 10)) dmesg
clean '3584M (on both sides of the PCI hole): no complaints'
try 307204K 307204 poweroff
try 209719296 204804 poweroff
