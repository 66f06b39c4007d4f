#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Writes the seeds of queue_split and queue_packed: one file for each situation worth a start."""
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus"
BASE, DRIVER, DEVICE, TABLE, DATA = 0x1000, 0x400, 0x800, 0xc00, 0x1000
NEXT, WRITE, INDIRECT, AVAIL, USED = 1, 2, 4, 0x80, 0x8000
POP, COMPLETE, PUBLISH, ASK, DISABLE, ENABLE, POKE, PROCESS, REMAP = 0, 3, 4, 5, 6, 7, 8, 9, 10


def image(*parts):
    out = bytearray(0xd00)
    for at, data in parts:
        out[at:at + len(data)] = data
    return bytes(out)


def desc(address, length, low, high):
    return struct.pack("<QIHH", address, length, low, high)


def seed(settings, memory, calls, positions=b"", dirty=False, io=False):
    places = bytes([0, 0, 0])
    length = len(memory) | (0x8000 if dirty else 0) | (0x4000 if io else 0)
    return bytes([settings]) + struct.pack("<H", length) + memory + places + positions + calls


def avail(heads):
    return (DRIVER, struct.pack("<HH", 0, len(heads)) + struct.pack(f"<{len(heads)}H", *heads))


def pop(put_back=False):
    return bytes([POP]) + struct.pack("<H", 4) + bytes([1, 16]) + bytes([0 if put_back else 1])


def complete(at_once):  # with an attempt to give back what is not there
    return bytes([COMPLETE]) + struct.pack("<HBI", 0xffff if at_once else 0x7fff, 0, 16)


ROUND = pop() + complete(True) + bytes([PUBLISH, ASK])
BATCH = pop() * 2 + complete(False) * 2 + bytes([PUBLISH, ASK])
CHAIN = desc(BASE + DATA, 16, NEXT, 1) + desc(BASE + DATA + 256, 64, NEXT | WRITE, 2) \
    + desc(BASE + DATA + 512, 1, WRITE, 0)
EIGHT = 3 << 4  # 1 << 3 descriptors
# The page of buffers goes, comes as it was, and comes read-only; then an access crosses into the next one.
IO = bytes([REMAP, 0]) + pop() + bytes([ENABLE, REMAP, 0xb4]) + ROUND
READ_ONLY = bytes([REMAP, 0x94]) + ROUND + bytes([PROCESS, 8])
ACROSS = desc(BASE + DATA + 0xff0, 64, WRITE, 0)
split = {
    "three-buffers": seed(EIGHT, image((0, CHAIN), avail([0])), ROUND),
    "event-idx": seed(EIGHT | 1, image((0, CHAIN), avail([0])), ROUND + bytes([ENABLE])),
    "in-order": seed(EIGHT | 2, image((0, CHAIN), avail([0, 2])), pop() + ROUND + ROUND),
    "indirect": seed(EIGHT, image((0, desc(BASE + TABLE, 48, INDIRECT, 0)), (TABLE, CHAIN),
                                  avail([0])), ROUND),
    "io-addresses": seed(EIGHT, image((0, CHAIN), avail([0])), IO, io=True),
    "io-read-only": seed(EIGHT, image((0, CHAIN), avail([0])), READ_ONLY, io=True),
    "io-across-pages": seed(EIGHT, image((0, ACROSS), avail([0])), bytes([REMAP, 0xbd]) + ROUND, dirty=True, io=True),
    "circle": seed(EIGHT, image((0, desc(BASE + DATA, 1, NEXT, 0)), avail([0])), ROUND),
    "same-head-twice": seed(EIGHT, image((0, CHAIN), avail([0, 0])), pop() + ROUND),
    "head-beyond-the-table": seed(EIGHT, image(avail([9])), ROUND),
    "index-jumps": seed(EIGHT, image((DRIVER, b"\0\0\xff\x7f")), ROUND),
    "put-back": seed(EIGHT, image((0, CHAIN), avail([0])), pop(True) + ROUND),
    "restored": seed(EIGHT | 4, image((0, CHAIN), avail([0])), ROUND, b"\xff\xff\xff\xff"),
    "double-fetch": seed(EIGHT | 8, image((0, CHAIN), avail([0, 0, 0])),
                         b"\x01\x02\x03\x04" + ROUND * 3),
    "process": seed(EIGHT, image((0, CHAIN), avail([0, 0])), bytes([PROCESS, 20])),
    "again": seed(EIGHT, image((0, CHAIN), avail([0] * 4)), ROUND * 4),
    "batch": seed(EIGHT, image((0, CHAIN), avail([0, 2, 0, 2])), BATCH * 2),
    "dirty": seed(EIGHT, image((0, CHAIN), avail([0, 2, 0, 2])), BATCH + ROUND * 2, dirty=True),
}


def packed_list(turn, *descs):
    return b"".join(desc(a, n, ident, flags | turn) for a, n, ident, flags in descs)


PCHAIN = packed_list(AVAIL, (BASE + DATA, 16, 3, NEXT), (BASE + DATA + 256, 64, 3, NEXT | WRITE),
                     (BASE + DATA + 512, 1, 3, WRITE))
PBUFFERS = packed_list(AVAIL, *[(BASE + DATA + 64 * i, 64, i, WRITE) for i in range(4)])
PEIGHT = 7 << 4  # 1 + 7 descriptors
packed = {
    "three-buffers": seed(PEIGHT, image((0, PCHAIN)), ROUND),
    "event-idx": seed(PEIGHT | 1, image((0, PCHAIN), (DRIVER, b"\x02\x80\x02\0")), ROUND),
    "in-order": seed(PEIGHT | 2, image((0, PCHAIN)), ROUND + ROUND),
    "indirect": seed(PEIGHT, image((0, packed_list(AVAIL, (BASE + TABLE, 48, 1, INDIRECT))),
                                   (TABLE, PCHAIN)), ROUND),
    "io-addresses": seed(PEIGHT, image((0, PCHAIN)), IO, io=True),
    "io-read-only": seed(PEIGHT, image((0, PCHAIN)), READ_ONLY, io=True),
    "without-an-end": seed(PEIGHT, image((0, packed_list(AVAIL, *[(BASE + DATA, 1, 1, NEXT)] * 8))),
                           ROUND),
    "same-id-twice": seed(PEIGHT, image((0, packed_list(AVAIL, *[(BASE + DATA, 1, 1, 0)] * 2))),
                          pop() + ROUND),
    "id-beyond-the-ring": seed(PEIGHT, image((0, packed_list(AVAIL, (BASE + DATA, 1, 99, 0)))),
                               ROUND),
    "put-back": seed(PEIGHT, image((0, PCHAIN)), pop(True) + ROUND),
    "restored": seed(PEIGHT | 4, image((0, PCHAIN)), ROUND, b"\x00\x80\x00\x80"),
    "double-fetch": seed(PEIGHT | 8, image((0, PCHAIN)), b"\x01\x02\x03\x04" + ROUND * 3),
    "process": seed(PEIGHT, image((0, PCHAIN)), bytes([PROCESS, 20])),
    "again": seed(PEIGHT, image((0, PCHAIN * 2)), ROUND * 2),
    "batch": seed(PEIGHT, image((0, PBUFFERS)), BATCH * 2),
    "dirty": seed(PEIGHT, image((0, PBUFFERS)), BATCH + ROUND * 2, dirty=True),
}

for target, seeds in (("queue_split", split), ("queue_packed", packed)):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in seeds.items():
        (folder / name).write_bytes(data.rstrip(b"\0") or b"\0")
