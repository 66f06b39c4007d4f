#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Writes the seeds of vfio_pci: one file for each situation worth a start."""
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus" / "vfio_pci"


def device(changes=(), flags=0):
    """Registers that differ from the usual ones: pairs of offset and byte."""
    head = bytes([flags | len(changes)])
    return head + b"".join(struct.pack("<HB", at, value) for at, value in changes)


def read(at, size=4):
    return struct.pack("<BH", size - 1, at) + bytes(size)


def write(at, data):
    return struct.pack("<BH", 0x40 + len(data) - 1, at) + data


def bar(at, data, second=False):
    # A write to BAR 0 or 2.
    return struct.pack("<BH", 0xa0 + (8 if second else 0) + len(data) - 1, at) + data


ON = write(4, b"\x06\x00")
seeds = {
    "usual": device() + ON + read(0x40) + read(0xc8) + read(0x100),
    "size-a-bar": device() + write(0x10, b"\xff" * 4) + write(0x14, b"\xff" * 4) + ON,
    "move-a-bar": device() + ON + write(0x14, struct.pack("<I", 0x18)) + write(0x14, b"\xff" * 4),
    "rom": device() + ON + write(0x30, b"\x01\x00\x00\xc1"),
    "msix": device() + ON + bar(0x2000, struct.pack("<I", 0xfee00000)) + bar(0x2008, struct.pack("<I", 0x31))
    + bar(0x200c, bytes(4)) + write(0x72, b"\x00\x80") + write(0x72, b"\x00\x40"),
    "over-the-table": device() + ON + bar(0x1ffc, b"\x11" * 8) + bar(0x207c, b"\x22" * 8),
    "msi": device() + write(0x54, struct.pack("<I", 0xfee00000)) + write(0x5c, b"\x40\x00")
    + write(0x52, b"\x21\x00") + write(0x60, b"\xff" * 4) + write(0x52, b"\x00\x00"),
    "reset": device() + ON + write(0x72, b"\x00\x80") + write(0x88, b"\x00\x80") + ON,
    "no-reset": device(flags=0x20) + ON + write(0x88, b"\x00\x80"),
    "power": device() + write(0x44, b"\x03\x00") + read(0x44),
    "vendor": device() + write(0xcc, b"\x01\x02\x03\x04") + write(0xd4, b"\xff" * 8),
    "loop": device([(0x41, 0x40)]) + ON,
    "bridge": device([(0x0e, 1)]) + ON,
    "no-place-for-the-table": device([(0x74, 7)]) + ON,
    "ports": device(flags=0x40) + write(4, b"\x07\x00") + write(0x20, struct.pack("<I", 0x2000)),
    "bar-of-another-kind": device([(0x10, 0)]) + ON,
}
CORPUS.mkdir(parents=True, exist_ok=True)
for name, data in seeds.items():
    (CORPUS / name).write_bytes(data)
