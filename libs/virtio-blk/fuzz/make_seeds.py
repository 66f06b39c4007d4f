#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Writes the seeds of blk: each kind of request on each kind of ring, and some bad ones."""
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus" / "blk"
BASE, DRIVER, DEVICE = 0x1000, 0x200, 0x300
HEADER, DATA, STATUS = 0x400, 0x480, 0x440
NEXT, WRITE, AVAIL = 1, 2, 0x80
KICK, POKE, RESET_QUEUE, RESIZE, CONFIG = 0, 3, 5, 6, 7
PACKED, EVENT_IDX, ALL = 1 << 34, 1 << 29, (1 << 40) | (1 << 28) | 0xffffff


def image(parts):
    out = bytearray(0x500)
    for at, data in parts:
        out[at:at + len(data)] = data
    return bytes(out)


def seed(parts, calls, features=ALL, readonly=False):
    memory = image(parts)
    return bytes([readonly]) + struct.pack("<QH", features, len(memory)) + memory + bytes(calls)


def header(kind, sector=0):
    return (HEADER, struct.pack("<IIQ", kind, 0, sector))


def ring(buffers, packed):
    """A chain of (offset, length, flags)."""
    out = b""
    for i, (at, length, flags) in enumerate(buffers):
        more = NEXT if i + 1 < len(buffers) else 0
        if packed:
            out += struct.pack("<QIHH", BASE + at, length, 3, flags | more | AVAIL)
        else:
            out += struct.pack("<QIHH", BASE + at, length, flags | more, i + 1)
    if packed:
        return [(0, out)]
    return [(0, out), (DRIVER, struct.pack("<HHH", 0, 1, 0))]


def request(kind, to_device=0, to_driver=0, sector=0, packed=False, data=b""):
    buffers = [(HEADER, 16, 0)]
    if to_device:
        buffers.append((DATA, to_device, 0))
    if to_driver:
        buffers.append((DATA, to_driver, WRITE))
    return ring(buffers + [(STATUS, 1, WRITE)], packed) + [header(kind, sector), (DATA, data)]


def segment(sector, count, flags):
    return struct.pack("<QII", sector, count, flags)


seeds = {
    "read": seed(request(0, 0, 1024, 3), [KICK]),
    "read_packed": seed(request(0, 0, 1024, 3, True), [KICK], ALL | PACKED),
    "read_event_idx": seed(request(0, 0, 512), [KICK], ALL | EVENT_IDX),
    "read_across_the_end": seed(request(0, 0, 1024, 31), [KICK]),
    "read_at_the_last_sector": seed(request(0, 0, 512, 2**64 - 1), [KICK]),
    "write": seed(request(1, 1024, 0, 3, data=b"abc"), [KICK]),
    "write_packed": seed(request(1, 1024, 0, 3, True), [KICK], ALL | PACKED | EVENT_IDX),
    "write_through": seed(request(1, 512), [CONFIG, 32, 0, 0, KICK]),
    "write_without_flush": seed(request(1, 512), [KICK], 0),
    "write_read_only": seed(request(1, 512), [KICK], ALL, True),
    "write_of_511": seed(request(1, 511), [KICK]),
    "flush": seed(request(4), [KICK]),
    "id": seed(request(8, 0, 20), [KICK]),
    "discard": seed(request(11, 32, data=segment(0, 8, 0) + segment(16, 1, 0)), [KICK]),
    "discard_read_only": seed(request(11, 16, data=segment(0, 8, 0)), [KICK], ALL, True),
    "zeroes": seed(request(13, 32, data=segment(0, 8, 1) + segment(16, 1, 0)), [KICK]),
    "zeroes_overflow": seed(request(13, 16, data=segment(2**64 - 1, 2, 0)), [KICK]),
    "unknown": seed(request(99, 16, 16), [KICK]),
    "one_buffer": seed(ring([(HEADER, 16, 0)], False), [KICK]),
    "status_in_the_ring": seed(ring([(HEADER, 16, 0), (DEVICE, 513, WRITE)], False)
                               + [header(0)], [KICK, KICK]),
    "ring_reset": seed(request(0, 0, 512), [KICK, RESET_QUEUE, KICK]),
    "shrinks": seed(request(0, 0, 512, 31), [RESIZE, 3, KICK, RESIZE, 63, POKE, 2, 4, 1, 2, 0]),
    "index_jumps": seed([(DRIVER, b"\0\0\xff\x7f")], [KICK, KICK]),
}
CORPUS.mkdir(parents=True, exist_ok=True)
for name, content in seeds.items():
    (CORPUS / name).write_bytes(content)
