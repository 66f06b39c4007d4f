#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Writes the seeds of vfio_user_server, conversations as clients have them, and of vfio_user_client, those of
servers, and bad ones of both."""
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus"
REPLY, NO_REPLY, ERROR = 1, 1 << 4, 1 << 5
(VERSION, DMA_MAP, DMA_UNMAP, INFO, REGION, IO_FDS, IRQ, IRQS, READ, WRITE, DMA_READ, DMA_WRITE,
 RESET) = range(1, 14)
MULTI, FEATURE, MIG_READ, MIG_WRITE = range(15, 19)
GET, SET = 1 << 16, 1 << 17


def message(command, payload=b"", fds=0, flags=0, number=0, size=None, error=0):
    data = struct.pack("<HHIII", number, command, 16 + len(payload) if size is None else size, flags, error)
    data += payload
    out = b""
    while data:
        out += bytes([fds, min(len(data), 256) - 1]) + data[:256]
        data, fds = data[256:], 0
    return out


def version(json, major=0, minor=1):
    return struct.pack("<HH", major, minor) + (json.encode() + b"\0" if json else b"")


def dma(iova, size, flags=3, offset=0):
    return struct.pack("<IIQQQ", 32, flags, offset, iova, size)


def unmap(iova, size, flags=0):
    return struct.pack("<IIQQ", 24, flags, iova, size)


def region_info(index, flags=0, size=0, offset=0, argsz=65536, caps=0):
    return struct.pack("<IIIIQQ", argsz, flags, index, caps, size, offset)


def irqs(flags, index, first, count, data=b""):
    return struct.pack("<IIIII", 20 + len(data), flags, index, first, count) + data


def access(region, offset, count, data=b""):
    return struct.pack("<QII", offset, region, count) + data


def feature(flags, data=b""):
    return struct.pack("<II", 65536, flags) + data


def transfer(iova, offset, size, out):
    return access(2, 0, 24, struct.pack("<QIIII", iova, offset, size, out, 1))


CAPS = '{"capabilities":{"max_msg_fds":8,"max_data_xfer_size":65536,"write_multiple":true,"pgsizes":4096}}'
HELLO = message(VERSION, version(CAPS))
ASK = message(INFO, struct.pack("<IIII", 16, 0, 0, 0)) + b"".join(
    message(REGION, region_info(i), number=i) for i in range(9)) + b"".join(
    message(IRQ, struct.pack("<IIII", 16, 0, i, 0)) for i in range(5))
MEMORY = message(DMA_MAP, dma(0x10000, 0x8000), fds=1) + message(DMA_MAP, dma(0x20000, 0x1000))

server = {
    "a_device_is_found": HELLO + ASK + message(RESET),
    "io_fds": HELLO + message(IO_FDS, struct.pack("<IIII", 4096, 0, 2, 0)),
    "interrupts": HELLO + message(IRQS, irqs(0x24, 2, 0, 3), fds=3) + message(IRQS, irqs(0x21, 2, 0, 3))
    + message(IRQS, irqs(0x24, 0, 0, 1), fds=1) + message(IRQS, irqs(0x22, 0, 0, 1, b"\1"))
    + message(IRQS, irqs(0x11, 0, 0, 1)) + message(IRQS, irqs(0x09, 0, 0, 1))
    + message(IRQS, irqs(0x0c, 0, 0, 1), fds=1) + message(IRQS, irqs(0x21, 2, 0, 0)),
    "accesses": HELLO + message(READ, access(0, 0, 64)) + message(WRITE, access(0, 8, 4, b"abcd"))
    + message(READ, access(7, 0, 256)) + message(WRITE, access(0, 0, 1, b"x"), flags=NO_REPLY)
    + message(MULTI, struct.pack("<QQII8s", 1, 4, 0, 2, b"ab")),
    "mapped_dma": HELLO + MEMORY + message(WRITE, transfer(0x10010, 0, 64, 0))
    + message(WRITE, transfer(0x17ff0, 0, 16, 1)) + message(DMA_UNMAP, unmap(0x10000, 0x8000))
    + message(DMA_UNMAP, unmap(0, 0, 2)),
    # The answer follows at once in the same chunk.
    "dma_by_messages": HELLO + MEMORY + bytes([0, 56 + 48 - 1])
    + struct.pack("<HHIII", 3, WRITE, 56, 0, 0) + transfer(0x20000, 0, 16, 0)
    + struct.pack("<HHIIIQQ", 0, DMA_READ, 48, REPLY, 0, 0x20000, 16) + bytes(16),
    "dirty_pages": HELLO + MEMORY + message(FEATURE, feature(SET | 6, struct.pack("<QII", 4096, 0, 0)))
    + message(WRITE, transfer(0x10010, 0, 64, 1))
    + message(FEATURE, feature(GET | 8, struct.pack("<QQQ", 0x10000, 0x8000, 4096)))
    + message(FEATURE, feature(SET | 7)),
    "migration": HELLO + message(FEATURE, feature(GET | 1))
    + message(FEATURE, feature(SET | 2, struct.pack("<Ii", 3, -1)))
    + message(MIG_READ, struct.pack("<II", 4096, 64))
    + message(FEATURE, feature(SET | 2, struct.pack("<Ii", 4, -1)))
    + message(MIG_WRITE, struct.pack("<II", 72, 64) + bytes(64))
    + message(FEATURE, feature(SET | 2, struct.pack("<Ii", 2, -1))) + message(FEATURE, feature(GET | 2)),
    "bad_twice": HELLO + HELLO,
    "bad_before": ASK,
    "bad_json": message(VERSION, version('{"capabilities":{"max_msg_fds":-1}}')),
    "bad_size": HELLO + message(RESET, size=15),
    "bad_length": HELLO + message(READ, access(0, 0, 0xFFFFFFFF)),
    "bad_fds": HELLO + message(RESET, fds=65),
}


class Talk:
    """A server's answers, numbered as the client's commands are."""

    def __init__(self):
        self.bytes = b""
        self.next = 0

    def say(self, command, payload=b"", fds=0, error=0):
        flags = REPLY | (ERROR if error else 0)
        self.bytes += message(command, payload, fds, flags, self.next, error=error)
        self.next += 1
        return self

    def ask(self, command, payload=b""):
        self.bytes += message(command, payload, number=99)
        return self


SPARSE = struct.pack("<HHIIIQQ", 1, 1, 0, 1, 0, 0x1000, 0x1000)


def found(irqs_too=True):
    talk = Talk().say(VERSION, version(CAPS)).say(DMA_MAP).say(INFO, struct.pack("<IIII", 16, 3, 3, 2))
    talk.say(REGION, region_info(0, 15, 0x4000, 0, 64, 32) + SPARSE, fds=1)
    talk.say(REGION, error=22)
    talk.say(REGION, region_info(2, 3, 0x1000, 0, 32))
    if irqs_too:
        talk.say(IRQ, struct.pack("<IIII", 16, 1, 0, 1)).say(IRQ, struct.pack("<IIII", 16, 1, 1, 8))
        talk.say(FEATURE, struct.pack("<IIIi", 16, GET | 2, 2, -1))
    return talk


def questions(*numbers):
    return bytes(numbers) + bytes([7] * (8 - len(numbers)))


IO_FD = struct.pack("<IIII", 56, 0, 0, 1) + struct.pack("<QQIIIIQ", 64, 4, 0, 0, 1, 0, 5)
client = {
    "a_device_is_found": questions() + found().bytes,
    "accesses": questions(0, 1, 3) + found().say(READ, access(0, 0, 64, bytes(64)))
    .say(WRITE, access(0, 0, 64)).say(MULTI, struct.pack("<Q", 1)).bytes,
    "io_fds": questions(2) + found().say(IO_FDS, IO_FD, fds=1).bytes,
    "migration": questions(4) + found().say(MIG_READ, struct.pack("<II", 18, 10) + bytes(10)).bytes,
    "dirty_pages": questions(5) + found().say(FEATURE, struct.pack("<II", 40, GET | 8) + bytes(32)).bytes,
    "dma_meanwhile": questions(0, 6) + found().ask(DMA_READ, struct.pack("<QQ", 0x10000, 64))
    .ask(DMA_WRITE, struct.pack("<QQ", 0x10ff8, 8) + b"abcdefgh")
    .ask(DMA_READ, struct.pack("<QQ", 0xfff8, 64)).say(READ, access(0, 0, 64, bytes(64))).say(DMA_MAP).bytes,
    "dma_alone": questions(7) + found().ask(DMA_WRITE, struct.pack("<QQ", 0x10000, 8) + b"abcdefgh").bytes,
    "bad_version": questions() + Talk().say(VERSION, version(None, 1)).bytes,
    "bad_json": questions() + Talk().say(VERSION, version("{[")).bytes,
    "bad_order": questions(0) + found().say(WRITE, access(0, 0, 64)).bytes,
    "bad_region": questions() + Talk().say(VERSION, version(CAPS)).say(DMA_MAP)
    .say(INFO, struct.pack("<IIII", 16, 3, 1, 0))
    .say(REGION, region_info(0, 15, 0x4000, 0, 64, 32) + SPARSE[:4] + struct.pack("<I", 32) + SPARSE[8:], fds=1).bytes,
    "bad_many": questions() + Talk().say(VERSION, version(CAPS)).say(DMA_MAP)
    .say(INFO, struct.pack("<IIII", 16, 3, 0xFFFFFFFF, 0xFFFFFFFF)).bytes,
    "bad_end": questions(0) + found().bytes + bytes([0, 7]) + bytes(8),
}

for target, seeds in (("vfio_user_server", server), ("vfio_user_client", client)):
    (CORPUS / target).mkdir(parents=True, exist_ok=True)
    for name, data in seeds.items():
        (CORPUS / target / name).write_bytes(data)
