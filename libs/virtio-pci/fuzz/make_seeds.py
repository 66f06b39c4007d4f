#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Writes the seeds of virtio_pci: one file for each situation worth a start."""
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus" / "virtio_pci"
RUN, START_SPLIT, START_PACKED = b"\x28", b"\x22", b"\x23"


def memory(at, data):
    return b"\x00" + struct.pack("<HH", at, len(data)) + data


def common(at, data):
    # The kind is a multiple of 8 above 0xb0, and the width less one.
    return bytes([0xb0 + len(data) - 1]) + struct.pack("<I", at) + data


def bar(at, data):
    return bytes([0xe0 + len(data) - 1]) + struct.pack("<I", at) + data


def config(at, data):
    return bytes([0x90 + len(data) - 1]) + struct.pack("<I", at) + data


def desc(address, length, flags, last):
    return struct.pack("<QIHH", address, length, flags, last)


START_PIN = b"\x24"  # neither packed nor MSI-X
CHAIN = memory(0x1000, desc(0x8000, 8, 1, 1) + desc(0x9000, 8, 2, 0)) \
    + memory(0x2000, struct.pack("<HHH", 0, 1, 0))
KICK = bar(0x6000, b"\0\0")
WINDOW = 0x80  # where the window's capability is, as the order of capabilities has it
seeds = {
    "split-chain": START_SPLIT + CHAIN + KICK + RUN,
    "packed-chain": START_PACKED
    + memory(0x1000, desc(0x8000, 8, 0x81, 0) + desc(0x9000, 8, 0x82, 0)) + KICK + RUN,
    "pin": START_PIN + CHAIN + KICK + RUN + bar(0x2000, b"\0"),
    "index-jumps": START_SPLIT + memory(0x2000, b"\0\0\xff\x7f") + KICK + RUN,
    "loop": START_SPLIT + memory(0x1000, desc(0x8000, 8, 1, 0))
    + memory(0x2000, struct.pack("<HHH", 0, 1, 0)) + KICK + RUN,
    "queue-reset": START_SPLIT + common(0x16, b"\x01\0") + common(0x3a, b"\x01\0")
    + common(0x1c, b"\x01\0") + KICK + RUN,
    "change-a-running-queue": START_SPLIT + common(0x18, b"\x01\0")
    + common(0x20, b"\0\0\xff\xff") + CHAIN + KICK + RUN,
    "window": START_SPLIT + config(WINDOW + 8, struct.pack("<I", 0x14))
    + config(WINDOW + 12, struct.pack("<I", 1)) + config(WINDOW + 16, b"\0"),
    "move-the-bar": START_SPLIT + config(0x10, struct.pack("<I", 0xc0000000))
    + config(0x14, b"\0\0\0\0") + CHAIN + KICK + RUN,
    "decoding-off": START_SPLIT + config(4, b"\0\0") + CHAIN + RUN,
    "masked-vector": START_SPLIT + bar(0x8000 + 28, b"\x01\0\0\0") + CHAIN + KICK + RUN
    + bar(0x8000 + 28, b"\0\0\0\0"),
}

CORPUS.mkdir(parents=True, exist_ok=True)
for name, data in seeds.items():
    (CORPUS / name).write_bytes(data)
