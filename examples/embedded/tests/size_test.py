#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""What a board has to store of the embedded VMM: size_test.py PROGRAM

Counts the parts of the ELF file that are loaded, which is what is left of it when it is stripped.
"""
import struct
import sys

LIMIT = 2 << 20

with open(sys.argv[1], "rb") as file:
    elf = file.read()
(offset,) = struct.unpack_from("<Q", elf, 32)
entry_bytes, entries = struct.unpack_from("<HH", elf, 54)
stored = 0
dynamic = False
for index in range(entries):
    kind, _, start, _, _, bytes_in_file = struct.unpack_from("<IIQQQQ", elf, offset + index * entry_bytes)
    if kind == 1:
        stored = max(stored, start + bytes_in_file)
    dynamic = dynamic or kind == 3
print(f"{stored} bytes of {LIMIT}, {'needs a dynamic linker' if dynamic else 'static'}")
sys.exit(0 if stored <= LIMIT and not dynamic else 1)
