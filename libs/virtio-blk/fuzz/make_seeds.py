#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Writes the seeds of virtio_blk: each kind of request on each kind of ring, and some bad ones.

Those that fit any device come from fuzz/make_device_seeds.py."""
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus" / "virtio_blk"
PACKED, EVENT_IDX, DIRTY, READ_ONLY = 1, 2, 8, 0x80
GOOD, ANYWHERE, CONFIG, TAKE_BACK, RESET_QUEUE, RESTART, HOST, RUN = 0, 4, 7, 9, 10, 11, 12, 13


def seed(*script, ring=0, refused=0, readonly=False):
    return bytes([ring | (READ_ONLY if readonly else 0)]) + struct.pack("<Q", refused) + b"".join(script)


def header(kind, sector=0):
    return struct.pack("<IIQ", kind, 0, sector)


def segment(sector, count, flags=0):
    return struct.pack("<QII", sector, count, flags)


def request(readable, writable, run=True, queue=0):
    """The readable bytes in parts of at most 255, of which there are at most three."""
    parts = [readable[i:i + 255] for i in range(0, len(readable), 255)] or []
    assert len(parts) <= 3 and len(writable) <= 3
    out = bytes([GOOD, queue, len(parts) | len(writable) << 2 | (0x80 if run else 0)])
    for part in parts:
        out += bytes([len(part)]) + part
    return out + b"".join(struct.pack("<H", length) for length in writable)


READ = request(header(0, 3), [1024, 1])
WRITE = request(header(1, 3) + b"x" * 512, [1])
FLUSH = request(header(4), [1])
seeds = {
    "read": seed(READ),
    "read_packed": seed(READ, ring=PACKED | EVENT_IDX | DIRTY),
    "read_across_the_end": seed(request(header(0, 31), [1024, 1])),
    "read_at_the_last_sector": seed(request(header(0, 2**64 - 1), [512, 1])),
    "read_with_the_status_in_the_data": seed(request(header(0), [513])),
    "write": seed(WRITE, FLUSH, READ),
    "written_and_read": seed(*[part + bytes([TAKE_BACK]) for part in (
        WRITE, READ, request(header(1, 0) + b"y" * 512, [1]), request(header(0), [512, 512, 1]),
        request(header(13) + segment(3, 1), [1]), READ, request(header(11) + segment(4, 1), [1]), READ,
        request(header(1, 31) + b"z" * 512, [1], False) + WRITE, request(header(0, 31), [512, 1]))]),
    "write_packed": seed(WRITE, FLUSH, READ, ring=PACKED),
    "write_through": seed(bytes([CONFIG, 32, 1, 0]), WRITE),
    "write_without_features": seed(WRITE, FLUSH, refused=2**64 - 1),
    "write_read_only": seed(WRITE, FLUSH, bytes([HOST, 1]), readonly=True),
    "write_of_511": seed(request(header(1) + b"x" * 511, [1])),
    "id": seed(request(header(8), [20, 1])),
    "discard": seed(request(header(11) + segment(0, 8) + segment(16, 1), [1])),
    "discard_read_only": seed(request(header(11) + segment(0, 8), [1]), readonly=True),
    "zeroes": seed(request(header(13) + segment(0, 8, 1) + segment(16, 0) + segment(31, 1), [1])),
    "zeroes_overflow": seed(request(header(13) + segment(2**64 - 1, 2), [1])),
    "unknown": seed(request(header(99) + b"x" * 16, [16, 1])),
    "no_status": seed(request(header(1), [])),
    "short_header": seed(request(header(0)[:15], [512, 1])),
    "queue_reset": seed(request(header(0), [512, 1], False), bytes([RESET_QUEUE, 0, 1]), READ),
    "shrinks": seed(bytes([HOST, 3]), request(header(0, 31), [512, 1]), bytes([HOST, 63]), READ),
    "many": seed(*[request(header(i % 2, i), [512, 1], False, i % 2) for i in range(8)],
                 bytes([RUN, TAKE_BACK]), READ),
    "restart": seed(request(header(0), [512, 1], False), bytes([RESTART]), READ),
}
CORPUS.mkdir(parents=True, exist_ok=True)
for name, content in seeds.items():
    (CORPUS / name).write_bytes(content)
