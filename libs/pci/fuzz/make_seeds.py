#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Writes the seeds of pci_config, pci_hotplug, pci_msix and pci_root_port: one file for each situation worth a start."""
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


def hotplug_event(kind, segment, slot):
    return bytes([kind, segment, slot])


def hotplug_access(kind, offset, value=None):
    return bytes([kind + 3, 0, offset]) + (b"" if value is None else struct.pack("<I", value))


PLUGGED, ASK, FORGET, READ, WRITE = 0x00, 0x20, 0x40, 0x60, 0xa0
hotplug = {
    "one-device": b"\x00" + hotplug_event(PLUGGED, 0, 5) + hotplug_access(READ, 0)
    + hotplug_event(ASK, 0, 5) + hotplug_access(READ, 4) + hotplug_access(WRITE, 8, 1 << 5),
    "unasked": b"\x02" + hotplug_event(PLUGGED, 1, 3) + hotplug_access(WRITE, 12, 1)
    + hotplug_access(WRITE, 8, 0xffffffff),
    "two-segments": b"\x01" + hotplug_event(ASK, 0, 1) + hotplug_event(ASK, 1, 1)
    + hotplug_access(WRITE, 12, 1) + hotplug_access(WRITE, 8, 2) + hotplug_access(WRITE, 12, 0)
    + hotplug_access(WRITE, 8, 2),
    "no-such-segment": b"\x00" + hotplug_event(ASK, 7, 1) + hotplug_access(WRITE, 12, 7),
    "gone-otherwise": b"\x00" + hotplug_event(ASK, 0, 9) + hotplug_event(FORGET, 0, 9)
    + hotplug_access(WRITE, 8, 1 << 9),
    "odd-widths": b"\x00" + hotplug_event(ASK, 0, 1) + bytes([0xa0, 0, 8, 2])
    + bytes([0xa7, 0, 8]) + struct.pack("<Q", 2),
}


def own(offset, data):
    """A write to the port."""
    return bytes([0xc0 + len(data) - 1]) + struct.pack("<H", offset) + data


def behind(bus, offset, data):
    return bytes([0x80 + len(data) - 1, bus]) + struct.pack("<H", offset) + data


COME, THERE, TAKE_BACK, GO = b"\x01", b"\x00", b"\x10", b"\x20"
CONTROL, STATUS = 0x58, 0x5a
WINDOW = (own(0x18, b"\x00\x03\x03\x00") + own(0x20, b"\x10\xc0") + own(0x22, b"\x20\xc0")
          + own(4, b"\x06\x00"))
POWER, NO_POWER = own(CONTROL, b"\x21\x11"), own(CONTROL, b"\x21\x17")
BAR = behind(3, 0x10, struct.pack("<I", 0xc0100000)) + behind(3, 4, b"\x02\x00")
MESSAGE = own(0x80, struct.pack("<I", 0xfee00000)) + own(0x88, b"\x21\0") + own(0x7e, b"\x01\0")
root_port = {
    "come-and-go": b"\0" + MESSAGE + WINDOW + NO_POWER + COME + own(STATUS, b"\xff\xff") + POWER + BAR
    + TAKE_BACK + own(CONTROL, b"\x21\x12") + NO_POWER + GO + COME,
    "from-the-start": b"\1" + THERE + WINDOW + BAR + TAKE_BACK + NO_POWER + GO,
    "unasked": b"\0" + THERE + WINDOW + BAR + NO_POWER + POWER + GO,
    "without-power": b"\0" + COME + TAKE_BACK + TAKE_BACK + GO,
    "windows-that-wrap": b"\0" + THERE + WINDOW + BAR + own(0x24, b"\0\0\xf0\xff")
    + own(0x2c, b"\xff" * 4) + own(0x20, b"\0\0\xf0\xff") + behind(3, 0x18, struct.pack("<II", 0, 0x12)),
    "bus-0": b"\1" + THERE + own(0x19, b"\0") + behind(0, 0x10, b"\0\0\0\xc0") + own(0x19, b"\xff") + BAR,
}

for name, seeds in (("pci_config", config), ("pci_hotplug", hotplug), ("pci_msix", msix),
                    ("pci_root_port", root_port)):
    folder = CORPUS / name
    folder.mkdir(parents=True, exist_ok=True)
    for seed, data in seeds.items():
        (folder / seed).write_bytes(data)
