# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# shellcheck shell=sh source=lib.sh
# arch: x86_64
# needs: vmm-reference vmlinux guest.cpio
. ./lib.sh

# An ELF file of 239 bytes for 1 MiB, with the note that gives its 32-bit entry: it prints F, V when EBX
# points to PVH's start information, writes the POST codes of a kernel's begin and of user space's
# twice each, and powers off.
elf_firmware() {
  printf '\177ELF\002\001\001\000\000\000\000\000\000\000\000\000\002\000\076\000\001\000\000\000'
  printf '\000\000\020\000\000\000\000\000\100\000\000\000\000\000\000\000\000\000\000\000\000\000\000\000'
  printf '\000\000\000\000\100\000\070\000\002\000\000\000\000\000\000\000'
  # PT_LOAD, read, write and execute, all of the file.
  printf '\001\000\000\000\007\000\000\000\000\000\000\000\000\000\000\000\000\000\020\000\000\000\000\000'
  printf '\000\000\020\000\000\000\000\000\357\000\000\000\000\000\000\000\357\000\000\000\000\000\000\000'
  printf '\000\020\000\000\000\000\000\000'
  # PT_NOTE.
  printf '\004\000\000\000\004\000\000\000\260\000\000\000\000\000\000\000\260\000\020\000\000\000\000\000'
  printf '\260\000\020\000\000\000\000\000\024\000\000\000\000\000\000\000\024\000\000\000\000\000\000\000'
  printf '\004\000\000\000\000\000\000\000'
  printf '\004\000\000\000\004\000\000\000\022\000\000\000Xen\000\304\000\020\000'
  # mov dx, 0x3f8; mov al, 'F'; out dx, al; cmp dword [ebx], 0x336ec578; jne .+5; mov al, 'V'; out dx, al
  printf '\146\272\370\003\260\106\356\201\073\170\305\156\063\165\003\260\126\356'
  # mov al, 0x40; out 0x80, al; out 0x80, al; inc al; out 0x80, al; out 0x80, al
  printf '\260\100\346\200\346\200\376\300\346\200\346\200'
  # mov al, 10; out dx, al; mov dx, 0x600; mov al, 0x34; out dx, al; hlt; jmp .-1
  printf '\260\012\356\146\272\000\006\260\064\356\364\353\375'
}
elf_firmware >firmware.elf

start --firmware firmware.elf
finish 10
check '--firmware: an ELF file with a PVH entry runs and powers off, exit status 0' [ "$vmm_status" = 0 ]
check '--firmware: it has its start information' grep -q '^FV' "$log"
# A benchmark takes the eight words after the only "--" of a line apart.
grep -o -- '-- \[Debug I/O port: Kernel code 0x4.\] [0-9]*[.][0-9]\{6\} seconds' vmm.err >codes
check 'a kernel tells its begin and that of user space, once each' [ "$(cut -c33-36 codes | tr -d '\n')" = 0x400x41 ]

start --firmware firmware.elf --cmdline 'console=ttyS0' --initramfs guest.cpio
finish 10
check '--firmware: with a command line it runs too' [ "$vmm_status" = 0 ]
check '--firmware: which a warning says is not used' grep -q 'warning: --firmware: .*not used' vmm.err

start --firmware vmlinux --memory size=256M -v
sleep 3
check '--firmware: takes what --kernel takes' grep -q 'info: --firmware: vmlinux: in guest memory' vmm.err
check '--firmware: and it runs' alive
kill -TERM "$vmm_pid"
finish 10

# As of OVMF for QEMU: an image for the end of 4 GiB, with a reset vector.
dd if=/dev/zero of=flat.fd bs=1M count=2 2>/dev/null
start --firmware flat.fd
finish 10
check '--firmware: an image for flash is refused, exit status 1' [ "$vmm_status" = 1 ]
check '--firmware: by name' grep -q -- '--firmware: flat.fd: ' vmm.err
