#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Writes the seeds of virtio_balloon_fuzz: one for each queue, split and packed, and a mixture."""
import struct
from pathlib import Path

CORPUS = Path(__file__).parent / "corpus/virtio_balloon"
FIRST_PAGE = 0x10


def buffer(kind: int, at: int, size: int, data: bytes = b"") -> bytes:
    readable = struct.pack("<H", len(data)) + data if not kind & 1 else b""
    return bytes([kind]) + struct.pack("<IH", at, size) + readable


def send(queue: int, *buffers: bytes) -> bytes:
    return bytes([0xff, queue, len(buffers) - 1]) + b"".join(buffers)


def pages(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def statistic(tag: int, value: int) -> bytes:
    return struct.pack("<HQ", tag, value)


INFLATE = send(0, buffer(0, 0, 16, pages(*range(FIRST_PAGE, FIRST_PAGE + 4))))
DEFLATE = send(1, buffer(0, 0, 8, pages(FIRST_PAGE + 1, 0xffffffff)))
STATISTICS = send(2, buffer(0, 64, 20, statistic(4, 1000) + statistic(77, 1)))
REPORT = send(4, buffer(3, 0x4000, 0x400), buffer(3, 0x20000, 0x100))
TARGET = b"\x20" + struct.pack("<Q", 1 << 20)
ACTUAL = b"\x30\x04" + struct.pack("<I", 4)
POISON = b"\x30\x0c" + struct.pack("<I", 0xaaaaaaaa)

CORPUS.mkdir(parents=True, exist_ok=True)
for packed in (0, 2):
    for granule in (0, 1):
        flags = bytes([0xdc | packed | granule])
        name = f"{'packed' if packed else 'split'}-{16 if granule else 4}k"
        (CORPUS / f"{name}-inflate").write_bytes(flags + INFLATE + DEFLATE + ACTUAL + INFLATE)
        (CORPUS / f"{name}-mixture").write_bytes(
            flags + TARGET + STATISTICS + REPORT + b"\0" + STATISTICS + POISON + REPORT + b"\x40" +
            INFLATE)
