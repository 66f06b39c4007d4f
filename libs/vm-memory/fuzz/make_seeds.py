#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Writes the seeds of memory_access: one file for each situation that is worth a start."""
import pathlib

OUT = pathlib.Path(__file__).parent / "corpus" / "memory_access"
READ, WRITE, READ_SOME, WRITE_SOME, U64, BIG, ATOMIC, FILL, WALK, SLICE, MAP, UNMAP, LOOKUP, \
    READ_IOVA, WRITE_IOVA, HARVEST = range(16)


def address(region, offset):
    """An address at `offset` of region number `region`, as the target decodes it."""
    return bytes([region]) + (offset + 128).to_bytes(2, "big")


def anywhere(value):
    return b"\xf0" + value.to_bytes(8, "big")


def size(n):
    return bytes([n]) if n < 40 else b"\x80" + n.to_bytes(2, "big")


def huge(n):
    return b"\xff" + n.to_bytes(8, "big")


def iova(offset, top=False):
    return offset.to_bytes(2, "big") + bytes([1 if top else 0])


def op(code, *parts):
    return bytes([code]) + b"".join(parts)


TRACKED = b"\x01"
SEEDS = {
    "write-across-touching-regions": TRACKED + op(WRITE, address(0, 0xf0), size(32), b"\x07")
    + op(READ, address(0, 0xf0), size(32)),
    "write-into-a-hole": TRACKED + op(WRITE, address(1, 0xf0), size(32), b"\x07")
    + op(WRITE_SOME, address(1, 0xf0), size(32), b"\x07"),
    "write-over-three-hundred-bytes": TRACKED + op(WRITE, address(2, 0x10), size(300), b"\x01"),
    "end-of-address-space": TRACKED + op(READ, anywhere(2**64 - 4), size(8))
    + op(WRITE_SOME, address(4, 0xfe), size(8), b"\x01") + op(U64, address(4, 0xf8), b"\x05"),
    "huge-sizes": b"\x00" + op(FILL, address(0, 0), huge(2**64 - 1), b"\x01")
    + op(WALK, address(2, 4), huge(2**63)) + op(SLICE, address(0, 1), size(16), huge(2**64 - 1),
                                                 size(2), b"\x03"),
    "objects-straddle": TRACKED + op(U64, address(0, 0xfc), b"\x11")
    + op(BIG, address(2, 0xd0), b"\x22") + op(BIG, address(3, 0xd0), b"\x22"),
    "atomics-aligned-and-not": TRACKED + op(ATOMIC, address(0, 4), b"\x01")
    + op(ATOMIC, address(0, 5), b"\x01") + op(ATOMIC, address(0, 0xfe), b"\x01"),
    "harvest-between-writes": TRACKED + op(FILL, address(2, 0), size(200), b"\x09")
    + op(HARVEST) + op(U64, address(2, 64), b"\x01") + op(HARVEST),
    "iotlb-split-and-merge": TRACKED + op(MAP, b"\x00", b"\x07", address(0, 0), b"\x03")
    + op(UNMAP, b"\x03", b"\x01") + op(MAP, b"\x03", b"\x01", address(0, 96), b"\x03")
    + op(LOOKUP, iova(0), size(200), b"\x03"),
    "iotlb-top-of-address-space": TRACKED + op(MAP, b"\x3e", b"\x02", address(2, 0), b"\x03")
    + op(WRITE_IOVA, iova(0x3e0, True), b"\x01", size(32))
    + op(LOOKUP, iova(0x3ff, True), size(2), b"\x01"),
    "iotlb-permission": b"\x00" + op(MAP, b"\x01", b"\x02", address(2, 0), b"\x01")
    + op(READ_IOVA, iova(0x20), size(39)) + op(WRITE_IOVA, iova(0x20), size(3), b"\x01"),
    "iotlb-full": b"\x00" + b"".join(
        op(MAP, bytes([2 * i]), b"\x01", address(i % 4, 0), b"\x03") for i in range(14))
    + op(UNMAP, b"\x04", b"\x01"),
    "iova-to-what-is-not-ram": b"\x00" + op(MAP, b"\x00", b"\x07", address(1, 0xc0), b"\x03")
    + op(WRITE_IOVA, iova(0x30), size(39), b"\x01"),
}

OUT.mkdir(parents=True, exist_ok=True)
for name, data in SEEDS.items():
    (OUT / name).write_bytes(data)
