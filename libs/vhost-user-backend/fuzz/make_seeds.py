#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Writes the seeds of vhost_user_device: a front end that starts and stops devices, and drivers behind it."""
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus" / "vhost_user_device"
VERSION, NEED_REPLY = 1, 8
PROTOCOL, VERSION_1, PACKED, LOG_ALL = 1 << 30, 1 << 32, 1 << 34, 1 << 26
STATUS = 1 << 16
ALL = (1 << 22) - 1 & ~(1 << 14) & ~(1 << 6) & ~(1 << 7) & ~(1 << 11) & ~(1 << 10) & ~(0b11111 << 17) & ~0b10100
USER = 0x7F00000000


def message(code, payload=b"", fds=0, events=False, flags=VERSION, socket=False):
    data = struct.pack("<III", code, flags, len(payload)) + payload
    out = b""
    while data:
        out += bytes([fds | (0x80 if events else 0) | (0x40 if socket else 0), min(len(data), 256) - 1]) + data[:256]
        data, fds = data[256:], 0
    return out


def u64(value):
    return struct.pack("<Q", value)


def state(index, value):
    return struct.pack("<II", index, value)


def ram(at, data):
    out = b""
    for offset in range(0, len(data), 255):
        part = data[offset:offset + 255]
        out += b"\xff" + struct.pack("<I", at + offset) + bytes([len(part)]) + part
    return out


def beside_agent(at, data, script=0x01000007):
    """Written and served while a second agent changes the device's memory."""
    return b"\xfd" + struct.pack("<I", script) + ram(at, data)[1:]


def region(guest=0, size=1 << 20, user=USER, offset=0):
    return struct.pack("<QQQQ", guest, size, user, offset)


def rings(queue, base=0x10000, log=0):
    base = USER + base + 0x3000 * queue
    return struct.pack("<IIQQQQ", queue, log, base, base + 0x2000, base + 0x1000, 0)


def hello(features=0, protocol=ALL):
    return message(16, u64(protocol)) + message(2, u64(PROTOCOL | VERSION_1 | features))


MEMORY = message(5, struct.pack("<II", 1, 0) + region(), fds=1)


def start(queue=0, size=16, base=0):
    return (message(8, state(queue, size)) + message(10, state(queue, base)) + message(9, rings(queue))
            + message(13, u64(queue), 1, True) + message(14, u64(queue), 1, True)
            + message(12, u64(queue), 1, True) + message(18, state(queue, 1)))


# One request: 5 bytes at 0x80000, room for 64 at 0x81000.
DESCRIPTORS = struct.pack("<QIHHQIHH", 0x80000, 5, 1, 1, 0x81000, 64, 2, 0)
BUFFERS = ram(0x80000, b"hello") + ram(0x10000, DESCRIPTORS)
REQUEST = BUFFERS + ram(0x11000, struct.pack("<HHH", 0, 1, 0))
PACKED_DESCRIPTORS = struct.pack("<QIHHQIHH", 0x80000, 5, 0, 0x81, 0x81000, 64, 0, 0x82)
PACKED_REQUEST = ram(0x80000, b"hello") + ram(0x10000, PACKED_DESCRIPTORS)
OK = message(39, u64(15))
STOP = message(11, state(0, 0))
INFLIGHT = struct.pack("<QQHHI", 0x1000, 0xF0000, 2, 16, 0)

IOMMU, IO = 1 << 33, 0x500000000
EXTENSIONS = 1 << 2 | 1 << 4 | 1 << 6 | 1 << 7 | 1 << 10 | 1 << 11 | 1 << 18 | 1 << 19 | 1 << 21 | 1 << 31


def iotlb(kind, iova, size=4096, user=0, permission=3):
    return message(22, struct.pack("<QQQBB6x", iova, size, user, permission, kind))


def update(iova, guest, size=4096, permission=3):
    return iotlb(2, iova, size, USER + guest, permission)


def io_start(queue=0, base=0):
    at = IO + 0x10000 + 0x3000 * queue
    addresses = struct.pack("<IIQQQQ", queue, 0, at, at + 0x2000, at + 0x1000, 0)
    return (message(8, state(queue, 16)) + message(10, state(queue, base)) + message(9, addresses)
            + message(13, u64(queue), 1, True) + message(12, u64(queue), 1, True) + message(18, state(queue, 1)))


CHANNEL = message(21, fds=1, socket=True)
IO_REQUEST = ram(0x80000, b"hello") + ram(0x10000, struct.pack("<QIHHQIHH", IO + 0x80000, 5, 1, 1, IO + 0x81000, 64, 2, 0)
                                          ) + ram(0x11000, struct.pack("<HHH", 0, 1, 0))
IO_RINGS = update(IO + 0x10000, 0x10000, 0x3000)
IO_HELLO = hello(IOMMU) + CHANNEL + MEMORY + io_start() + OK

seeds = {
    "iommu": IO_HELLO + IO_RINGS + IO_REQUEST + update(IO + 0x80000, 0x80000) + update(IO + 0x81000, 0x81000) + STOP,
    "iommu_packed": hello(IOMMU | PACKED) + CHANNEL + MEMORY + io_start(base=0x80008000) + OK + IO_RINGS
    + update(IO, 0, 1 << 20) + PACKED_REQUEST + STOP,
    "iommu_read_only": IO_HELLO + IO_RINGS + IO_REQUEST + update(IO + 0x80000, 0x80000, 0x2000, 1) + STOP,
    "iommu_rings_go": IO_HELLO + IO_RINGS + IO_REQUEST + iotlb(3, IO + 0x11000) + REQUEST + IO_RINGS,
    "iommu_rings_in_pieces": IO_HELLO + update(IO + 0x10000, 0x20000) + update(IO + 0x11000, 0x10000)
    + update(IO + 0x12000, 0x30000) + IO_REQUEST,
    "iommu_no_memory": IO_HELLO + IO_RINGS + iotlb(2, IO, 4096, 0) + message(38, u64(0) + region()) + IO_REQUEST,
    "iommu_all_of_it": IO_HELLO + IO_RINGS + iotlb(3, 0, 2**64 - 1) + IO_RINGS + IO_REQUEST,
    "state": hello(protocol=ALL | EXTENSIONS) + message(42, state(0, 0), fds=1, socket=True) + message(43)
    + message(42, state(1, 0), fds=1, socket=True) + message(43) + message(42, state(0, 0), fds=1),
    "extensions": hello(protocol=ALL | EXTENSIONS) + message(19, u64(1)) + message(20, u64(1500))
    + message(23, state(0, 0)) + message(41, bytes(range(16))) + message(44) + message(1004)
    + message(33, fds=1, socket=True) + message(26, bytes(1072)) + message(26, bytes(632)) + message(27, u64(1)),
    "polled": hello() + MEMORY + message(8, state(0, 16)) + message(9, rings(0)) + message(12, u64(0x100))
    + message(18, state(0, 1)) + OK + REQUEST + b"\xfe\xfe" + STOP,
    "served": hello() + MEMORY + start() + OK + REQUEST + STOP,
    "double_fetch": hello() + MEMORY + start() + OK + BUFFERS + beside_agent(0x11000, struct.pack("<HHH", 0, 1, 0))
    + beside_agent(0x11000, struct.pack("<HHHH", 0, 3, 0, 0), 0x06001234) + STOP,
    "double_fetch_packed": hello(PACKED) + MEMORY + start(base=0x80008000) + OK + ram(0x80000, b"hello")
    + beside_agent(0x10000, PACKED_DESCRIPTORS) + STOP,
    "served_packed": hello(PACKED) + MEMORY + start(base=0x80008000) + OK + PACKED_REQUEST + STOP,
    "without_a_status": hello(protocol=ALL & ~STATUS) + MEMORY + start() + b"\xfe\xfe" + REQUEST + STOP,
    "started_again": hello() + MEMORY + start() + OK + REQUEST + STOP + start(base=1) + OK + STOP,
    "two_rings": hello() + MEMORY + start() + start(1) + OK + REQUEST + message(18, state(1, 0)) + STOP,
    "reset": hello() + MEMORY + start() + OK + REQUEST + message(34) + hello() + start(base=1) + OK,
    "status_0": hello() + MEMORY + start() + OK + message(39, u64(0)) + message(40),
    "index_runs_away": hello() + MEMORY + start() + OK + ram(0x11000, struct.pack("<HH", 0, 0x7777)) + message(40),
    "loop": hello() + MEMORY + start() + OK + ram(0x10000, struct.pack("<QIHHQIHH", 0x80000, 5, 1, 1, 0x81000, 64, 1, 0))
    + ram(0x11000, struct.pack("<HHH", 0, 1, 0)),
    "no_memory_any_more": hello() + message(37, u64(0) + region(), fds=1) + start() + OK
    + message(38, u64(0) + region()) + REQUEST,
    "memory_comes": hello() + MEMORY + start() + OK
    + message(37, u64(0) + region(1 << 30, 4096, USER + (1 << 30)), fds=1) + REQUEST,
    "base_that_cannot_be": hello() + MEMORY + start(base=0x1234) + OK + message(40),
    "rings_outside": hello() + MEMORY + message(9, rings(0, 1 << 20), flags=VERSION | NEED_REPLY),
    "kick_that_is_a_file": hello() + MEMORY + message(9, rings(0)) + message(12, u64(0), 1) + message(18, state(0, 1))
    + OK,
    "inflight": hello() + message(31, INFLIGHT) + message(32, INFLIGHT, fds=1) + MEMORY + start() + OK + REQUEST
    + STOP + start(base=1) + OK,
    "hostile_inflight": hello() + ram(0xF0000, struct.pack("<QHHHH", 0, 1, 16, 3, 0xFFF0) + bytes([1] * 240))
    + message(32, INFLIGHT, fds=1) + MEMORY + start() + OK + REQUEST,
    "hostile_packed_inflight": hello(PACKED) + ram(0xF0000, struct.pack("<QHHHHHHBB", 0, 1, 16, 3, 2, 5, 1, 1, 0)
                                                   + bytes([1] * 200))
    + message(32, INFLIGHT, fds=1) + MEMORY + start(base=0x80008000) + OK + PACKED_REQUEST,
    "log": hello() + MEMORY + start() + OK + message(6, struct.pack("<QQ", 64, 0xE0000), fds=1)
    + message(2, u64(PROTOCOL | VERSION_1 | LOG_ALL)) + message(9, rings(0, log=1)) + REQUEST + STOP,
    "configuration": hello() + message(24, struct.pack("<III", 0, 12, 0) + bytes(12))
    + message(25, struct.pack("<III", 8, 4, 0) + bytes(4)) + MEMORY + start() + OK
    + message(25, struct.pack("<III", 9, 4, 0) + bytes(4), flags=VERSION | NEED_REPLY),
    "old_front_end": message(2, u64(VERSION_1)) + MEMORY + message(8, state(0, 16)) + message(9, rings(0))
    + message(12, u64(0), 1, True) + b"\xfe\xfe" + REQUEST + STOP,
}

CORPUS.mkdir(parents=True, exist_ok=True)
for name, data in seeds.items():
    (CORPUS / name).write_bytes(data)
