# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
# The first sector of a disk: what the firmware starts. 4000 times it reads the second sector by the
# firmware's driver, adds one to its first number, and writes it back. "." on the serial port for each
# hundred; ends the machine with 0, or with 1 after an error.
.code16
.globl _start
_start:
  xor %ax, %ax
  mov %ax, %ds
  mov %ax, %es
  mov $0x7000, %sp
  movw $4000, 0x9000
  movw $100, 0x9002
again:
  mov $0x0201, %ax            # read one sector
  call sector
  incl 0x8000
  mov $0x0301, %ax            # write it
  call sector
  decw 0x9002
  jnz 1f
  movw $100, 0x9002
  mov $0x3f8, %dx
  mov $'.', %al
  outb %al, %dx
1:
  decw 0x9000
  jnz again
  mov $0, %al
  jmp end
sector:
  mov $0x0002, %cx
  mov $0x0080, %dx
  mov $0x8000, %bx
  int $0x13
  jc failed
  ret
failed:
  mov $1, %al
end:
  mov $0xf4, %dx
  outb %al, %dx
  hlt
.org 510
.word 0xaa55
