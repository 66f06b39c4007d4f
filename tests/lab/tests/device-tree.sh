# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# arch: aarch64
# core
# needs: vmm-reference vmlinuz guest.cpio overlay.dtbo moves-memory.dtbo
. ./lib.sh

# Flat firmware of a few instructions: prints F, loads a pair of registers from the UART, which
# leaves no syndrome and has to end in an abort, whose handler prints A; PSCI off.
flat_guest() {
  # movz x0, 0x800; msr vbar_el1, x0; movz x1, 0x900, lsl 16; mov w2, 'F'; str w2, [x1]
  printf '\000\000\201\322\000\300\030\325\001\040\241\322\302\010\200\122\042\000\000\271'
  # ldp x2, x3, [x1]; mov w2, '?'; str w2, [x1]
  printf '\042\014\100\251\342\007\200\122\042\000\000\271'
  # movz w0, 8; movk w0, 0x8400, lsl 16; hvc 0; b .-12
  printf '\000\001\200\122\000\200\260\162\002\000\000\324\375\377\377\027'
}

# At 0x800 + 0x200: mov w2, 'A'; str w2, [x1]; movz w0, 8; movk w0, 0x8400, lsl 16; hvc 0
abort_handler() {
  printf '\042\010\200\122\042\000\000\271\000\001\200\122\000\200\260\162\002\000\000\324'
}

flat_guest >flat.fd
abort_handler | dd of=flat.fd bs=1 seek=2560 conv=notrunc 2>/dev/null

start --firmware flat.fd
finish 10
check '--firmware: a flat image runs and powers off, exit status 0' [ "$vmm_status" = 0 ]
check 'a device access without syndrome ends in an abort of the guest' grep -q '^FA' "$log"

start --kernel flat.fd
finish 10
check '--kernel: which is no kernel is refused, exit status 1' [ "$vmm_status" = 1 ]
printf _FVH | dd of=flat.fd bs=1 seek=4136 conv=notrunc 2>/dev/null
start --kernel flat.fd --cmdline console=ttyAMA0
finish 10
check '--kernel: but a firmware volume is firmware, exit status 0' [ "$vmm_status" = 0 ]
check '--kernel: it has run' grep -q '^FA' "$log"

start --firmware flat.fd --dtb /sys/firmware/fdt
finish 10
check '--dtb: a tree of another machine runs, exit status 0' [ "$vmm_status" = 0 ]
check '--dtb: and what it gets wrong is named' grep -q -- '--dtb: .*fdt: /memory' vmm.err

echo 'no device tree' >text
start --firmware flat.fd --dtb text
finish 10
check '--dtb: a text file is refused, exit status 1' [ "$vmm_status" = 1 ]
check '--dtb: and named' grep -q -- '--dtb: text: ' vmm.err

start --firmware flat.fd --dtb-overlay moves-memory.dtbo
finish 10
check '--dtb-overlay: one that moves the memory is refused, exit status 1' [ "$vmm_status" = 1 ]
check '--dtb-overlay: and the place is named' grep -q 'moves-memory.dtbo: /memory@40000000' vmm.err

guest vmm.test=tree --dtb-overlay overlay.dtbo --memory size=256M
boots '--dtb-overlay: a guest with one more node boots'
check '--dtb-overlay: the node is there' grep -qa '^tree: ./sensor@a000000/label 68656c6c6f00' "$log"
