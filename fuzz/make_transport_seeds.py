#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Writes the seeds of device_on_mmio and device_on_pci: for each device requests that it understands,
behind split and packed rings, beside a second agent, and with registers that are written at a bad time."""
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus"
START, SEND, INDIRECT, AGENT, MEMORY, HOST, TAKE_BACK, RUN = 0, 0x10, 0x30, 0x40, 0x50, 0x60, 0x70, 0x80
PACKED, EVENT_IDX = 1, 2
ALL = bytes(8)  # the features that are not wanted


def start(ring=0):
    return bytes([START | ring]) + ALL


def send(queue, readable, writable, kind=SEND):
    """A request of at most three parts each way."""
    script = bytes([kind | len(writable) << 2 | len(readable), queue])
    for part in readable:
        script += bytes([len(part)]) + part
    return script + b"".join(struct.pack("<H", size) for size in writable)


def agent(script=0x01000007):
    return bytes([AGENT]) + struct.pack("<I", script)


def words(layout, *values):
    return struct.pack("<" + layout, *values)


def packet(op, length=0, flags=0):
    return words("QQIIIHHIII", 3, 2, 1, 1, length, 1, op, flags, 4096, 0)


# In the order of make_any_device(): name and requests (queue, readable, writable).
DEVICES = [
    ("blk", [(0, [words("IIQ", 1, 0, 3), b"x" * 200, b"y" * 56], [1]),
             (0, [words("IIQ", 0, 0, 3)], [512, 1]), (1, [words("IIQ", 4, 0, 0)], [1]),
             (1, [words("IIQ", 8, 0, 0)], [20, 1]),
             (0, [words("IIQ", 13, 0, 0) + words("QII", 0, 8, 1)], [1])]),
    ("net", [(0, [], [2048]), (1, [bytes(12), b"\xff" * 60], []), (1, [bytes(12) + b"\xff" * 60], []),
             (2, [b"\1\1", b"\x52\x54\0\0\0\1"], [1])]),
    ("balloon", [(0, [words("II", 0x30, 0x31)], []), (1, [words("I", 0x30)], []),
                 (2, [words("HQ", 4, 1000)], []), (3, [], [4096]), (2, [], [4096])]),
    ("mem", [(0, [words("HxxxxxxQHxxxxxx", kind, 0x100000, 2)], [10]) for kind in (0, 3, 1, 3, 2)]),
    ("pmem", [(0, [words("I", 0)], [4]), (0, [words("I", 1)], [4])]),
    ("console", [(0, [], [100]), (1, [b"login: "], []), (1, [b"a", b"b"], [])]),
    ("i2c", [(0, [words("HHI", 0x40, 0, 1), b"\1\2"], [1]), (0, [words("HHI", 0x40, 0, 2)], [4, 1])]),
    ("iommu", [(0, [words("IIIII", 1, 1, 1, 0, 0)], [4]),
               (0, [words("IIQQQI", 3, 1, 0, 0xfff, 0, 3)], [4]),
               (0, [words("IIQQI", 4, 1, 0, 0xfff, 0)], [4]), (0, [words("IIII", 5, 1, 0, 0) + bytes(56)], [200, 4])]),
    ("gpio", [(0, [words("HHI", 3, 0, 1)], [2]), (0, [words("HHI", 5, 0, 1)], [2]),
              (0, [words("HHI", 6, 2, 3)], [2]), (1, [words("H", 2)], [1]),
              (0, [words("HHI", 1, 0, 0)], [9])]),
    ("rtc", [(0, [words("Q", 0x1000)], [16]), (0, [words("QQ", 1, 0)], [16]),
             (0, [words("QQ", 0x1001, 1)], [16])]),
    ("watchdog", [(0, [], [1])]),
    ("vsock", [(0, [], [4000]), (2, [], [8]), (1, [packet(1)], []), (1, [packet(5, 4), b"data"], []),
               (1, [packet(4, 0, 3)], [])]),
    ("rng", [(0, [], [64]), (0, [], [1, 2, 3])]),
]
# Registers that are written once the device runs: (kind, offset, value).
MMIO = [(0x38, 4), (0x80, 0xffffff00), (0x44, 0), (0xc0, 1), (0x70, 0), (0x70, 0xff)]
PCI = [(0x18, 4), (0x20, 0xffffff00), (0x1c, 0), (0x3a, 1), (0x14, 0), (0x14, 0xff)]


def registers(transport):
    if transport == "mmio":
        return [bytes([0xd0]) + words("HI", *write) for write in MMIO]
    return [bytes([0xc3]) + words("II", *write) for write in PCI]


def scripts(requests, transport):
    served = [send(*request) + bytes([RUN]) for request in requests]
    batch = b"".join(send(*request) for request in requests)
    behind_tables = b"".join(send(*request, kind=INDIRECT) + bytes([RUN]) for request in requests)
    host = b"".join(bytes([HOST, how, RUN]) for how in (9, 0, 1, 64))
    yield "split", start() + b"".join(served) + host + bytes([TAKE_BACK]) + batch + bytes([RUN])
    yield "packed", (start(PACKED | EVENT_IDX) + host + b"".join(served) + bytes([TAKE_BACK])
                     + behind_tables)
    yield "agent", (start() + batch + agent() + bytes([TAKE_BACK]) + start(PACKED) + batch
                    + agent(0x06001234))
    yield "registers", start() + b"".join(a + b for a, b in zip(
        served * 6, (start() + write for write in registers(transport))))


def main():
    for transport in ("mmio", "pci"):
        folder = CORPUS / f"device_on_{transport}"
        folder.mkdir(parents=True, exist_ok=True)
        for number, (name, requests) in enumerate(DEVICES):
            for kind, script in scripts(requests, transport):
                (folder / f"{name}_{kind}").write_bytes(bytes([number]) + script)


if __name__ == "__main__":
    main()
