#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Writes the seeds of pci_config and pci_msix: one file for each situation worth a start."""
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus"


def write(slot, offset, data):
    """A write through memory-mapped configuration space."""
    return bytes([0x20 + len(data) - 1, slot]) + struct.pack("<H", offset) + data


def word(slot, offset, value):
    return write(slot, offset, struct.pack("<I", value))


def port(offset, data):
    return bytes([0xc0 + len(data) - 1, 0]) + struct.pack("<H", offset) + data


def plug(slot):
    return bytes([0, slot, 0, 0])


ON = write(0, 4, b"\x03\x00")
config = {
    "size-a-bar": word(0, 0x10, 0xffffffff) + ON + word(0, 0x10, 0xc0000000),
    "move-by-halves": ON + word(0, 0x18, 0xc0000000) + word(0, 0x1c, 0x18),
    "over-another-function": ON + write(1, 4, b"\x02\x00") + word(1, 0x10, 0xc0000000)
    + word(1, 0x14, 0) + word(0, 0x10, 0xc0000000) + word(1, 0x10, 0xc8000000),
    "over-ram": ON + word(0, 0x10, 0) + word(0, 0x10, 0xc0100000),
    "over-another-device": ON + word(0, 0x10, 0xc4000000),
    "remove-and-plug": ON + plug(0) + ON + plug(0) + ON,
    "ports": port(0, struct.pack("<I", 0x80000010)) + port(4, struct.pack("<I", 0xc0200000))
    + port(0, struct.pack("<I", 0x80000004)) + port(4, b"\x03") + port(1, b"\x06"),
    "io-bar": ON + word(0, 0x24, 0x2000) + word(0, 0x24, 0xffe0),
}


def table(offset, data):
    return bytes([0x80 + len(data) - 1]) + struct.pack("<I", offset) + data


def vector(number, data):
    at = 16 * number
    return table(at, struct.pack("<Q", 0xfee00000)) + table(at + 8, struct.pack("<II", data, 0))


def event(number):
    return b"\x00" + struct.pack("<I", number)


def control(value):
    return b"\x40" + struct.pack("<I", value)


def mask(number, yes):
    return table(16 * number + 12, struct.pack("<I", yes))


msix = {
    "one-vector": b"\x01" + control(0x8000) + vector(0, 7) + event(0),
    "masked-vector": b"\x03" + control(0x8000) + vector(2, 7) + mask(2, 1) + event(2) + event(2)
    + mask(2, 0),
    "masked-function": b"\x03" + vector(1, 7) + control(0xc000) + event(1) + control(0x8000),
    "beyond-the-table": b"\x00" + control(0x8000) + vector(1, 7) + event(1)
    + b"\x97" + struct.pack("<I", 0xfffffff8) + b"\xff" * 8,
    "odd-widths": b"\x02" + control(0x8000) + table(12, b"\0") + table(13, b"\0\0\0\0"),
}

for name, seeds in (("pci_config", config), ("pci_msix", msix)):
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    for seed, data in seeds.items():
        (folder / seed).write_bytes(data)
