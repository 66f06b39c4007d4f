#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Writes the seeds of guest_frame, nvme and saved_state into fuzz/corpus."""

import pathlib
import struct

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"


def frame(flags, gso, start, offset, payload):
    """A frame behind its header: guest_frame_fuzz.cc."""
    return struct.pack("<BBHHHHH", flags, gso, 0, 0, start, offset, 0) + payload


# An Ethernet and an IPv4 header, then TCP.
PACKET = bytes.fromhex("525500d12a02525400123456 0800 4500002800004000400600000a00020f0a000202"
                       "c001005000000001000000005002faf0 1c3d 0000".replace(" ", ""))
GUEST_FRAME = {
    "nothing_to_do": frame(0, 0, 0, 0, PACKET),
    "tcp": frame(1, 0, 34, 16, PACKET),
    "segments": frame(1, 1, 34, 16, PACKET + b"data" * 40),
    "segments_with_ecn": frame(1, 0x81, 34, 16, PACKET + b"odd"),
    "segments_without_checksum": frame(0, 1, 34, 16, PACKET),
    "udp_segments": frame(1, 3, 34, 6, PACKET),
    "sum_of_zero": frame(1, 0, 0, 0, b"\xff\xff\0\0"),
    "field_at_an_odd_place": frame(1, 0, 33, 5, PACKET),
    "starts_behind_the_end": frame(1, 0, 0xffff, 0, PACKET),
    "field_behind_the_end": frame(1, 0, 34, len(PACKET) - 35, PACKET),
    "header_alone": frame(1, 0, 0, 0, b""),
}

# Steps of nvme_fuzz.cc.
REGISTER, DOORBELL, SEND, ENABLE, CREATE, MEMORY, ACCESS, GIVE, MIGRATE, LOAD, OTHER = (
    0, 1, 2, 4, 5, 6, 7, 8, 9, 10, 11)
RESET, LISTEN, MASK, GO = 0, 1, 2, 3  # of OTHER
READ_ONLY = 28  # a page
ASKED = 24


def send(queue, opcode, name_space=1, prp1=b"\x14", prp2=b"\x15", word0=0, word2=0):
    return bytes([SEND, queue, opcode, name_space]) + prp1 + prp2 + struct.pack("<HB", word0, word2)


def send_words(queue, opcode, *words):
    return bytes([SEND, queue, opcode | 0x80, 1, 0x14, 0x15, 0, 0, 0]) + struct.pack(
        "<6I", *words, *([0] * (6 - len(words))))


def inside(page, offset):
    return bytes([0x80 | page]) + struct.pack("<H", offset)


def far(address):
    return b"\xff" + struct.pack("<Q", address)


def create(number, vector):
    return bytes([CREATE, (number - 1) + 8 * vector])


def give(which, is_there):
    return bytes([GIVE, which | (0 if is_there else 4)])


def other(what, value=0):
    return bytes([OTHER, what + 5 * value])


def load(changes, is_whole=True, size=0):
    script = bytes([LOAD, len(changes) | (0 if is_whole else 0x80)])
    for offset, value in changes:
        script += struct.pack("<HB", offset, value)
    return script + (b"" if is_whole else struct.pack("<H", size))


UP = bytes([ENABLE]) + create(1, 1)
# Eight pages from a list in page 22.
LIST = bytes([MEMORY]) + struct.pack("<H", 22 * 4096 // 2) + bytes([64]) + b"".join(
    struct.pack("<Q", 0x10_0000 + page * 4096) for page in range(14, 22))
NVME = {
    "identify": bytes([ENABLE]) + b"".join(send(0, 6, n, word0=n) for n in range(4)),
    "write_and_read": UP + send(1, 1, word0=3, word2=1) + send(1, 2, word0=3, word2=1) + send(1, 0),
    "lists": UP + send(1, 1, prp2=b"\x16", word2=40) + LIST + send(1, 2, prp2=b"\x16", word2=40)
             + send(1, 2, prp1=inside(18, 512), prp2=inside(22, 8), word2=63),
    "list_of_lists": UP + send(1, 1, prp2=inside(22, 4088), word2=63)
                     + send(1, 2, prp2=inside(22, 4080), word2=63),
    "bad_ranges": UP + send(1, 2, word0=127, word2=1) + send(1, 1, word0=127, word2=1)
                  + send_words(1, 1, 0xffffffff, 0xffffffff, 9)
                  + send(1, 2, word2=255),
    "bad_addresses": UP + send(1, 2, prp1=far(0)) + send(1, 1, prp1=far(2**64 - 100))
                     + send(1, 2, prp1=inside(27, 4000), word2=3)
                     + send(1, 2, prp1=bytes([READ_ONLY])) + send(1, 1, prp1=bytes([READ_ONLY])),
    "memory_by_messages": UP + send(1, 2, prp1=bytes([ASKED]), word2=7)
                          + send(1, 1, prp1=bytes([ASKED]), word2=7),
    "memory_goes": UP + give(0, False) + send(1, 2) + give(0, True) + send(1, 2) + bytes([ENABLE])
                   + create(2, 0) + give(1, False) + send(2, 2, prp1=bytes([ASKED])),
    "queues": bytes([ENABLE]) + b"".join(create(n, n) for n in range(1, 9)) + create(3, 3)
              + send_words(0, 0, 2) + send_words(0, 4, 2) + send_words(0, 4, 3) + create(2, 9)
              + send_words(0, 1, 0xffff0005, 0x10001) + send_words(0, 0, 77),
    "features": bytes([ENABLE]) + b"".join(send(0, op, word0=f) for op in (9, 10) for f in (7, 11, 2))
                + send(0, 12) * 6 + send(0, 8) + send(0, 0x7f),
    "interrupts": other(LISTEN, 1) + other(LISTEN, 9) + UP + send(1, 2) + other(MASK + 0)
                  + bytes([ACCESS, 3 | 4 * 2]) + struct.pack("<H", 4) + b"\0\4" + send(0, 6, word0=1),
    "doorbells": UP + b"".join(bytes([DOORBELL, n]) + struct.pack("<H", v)
                               for n in range(20) for v in (7, 8)),
    "registers": b"".join(bytes([REGISTER, n]) + b"\xff" * 4 for n in range(16)) + UP
                 + bytes([REGISTER, 5]) + struct.pack("<I", 1 << 14 | 1),
    "odd_accesses": b"".join(bytes([ACCESS, what]) + struct.pack("<H", at) + b"x" * (what // 4)
                             for what in (2 | 32, 2 | 12, 3 | 200, 0 | 200, 1 | 252)
                             for at in (0, 3, 0x14, 0xfe, 0x1000)),
    "migrations": UP + send(1, 1) + bytes([MIGRATE]) + send(1, 2) + other(GO, 1) + send(1, 2)
                  + other(GO, 2) + bytes([MIGRATE]),
    "states": UP + load([]) + load([(0, 0)]) + load([(16 + 0x1c, 3)]) + load([(16 + 0x1c, 0xff)])
              + load([(108, 9)]) + load([(16 + 0x24, 1)]) + send(1, 2) + load([], False, 50)
              + b"".join(load([(at, 1)]) for at in range(112, 360, 12)) + send(1, 1),
}


def config_space(count, *changes, size=None):
    script = bytes([0, count]) + b"".join(bytes(change) for change in changes)
    return script + (b"" if size is None else struct.pack("<H", size))


def pl031(host, load_register, match, imsc, ris, offset, *writes):
    script = struct.pack("<BiIIBBq", 1, host, load_register, match, imsc, ris, offset)
    return script + b"".join(struct.pack("<BI", *write) for write in writes)


def queue(most, size, flags, features, rings, avail=0, used=0):
    return struct.pack("<BHHBQQQQHH", 2, most, size, flags, features, *rings, avail, used)


SPLIT, PACKED = (0x2000, 0x3000, 0x4000), (0x2000, 0x3000, 0x3010)
SAVED_STATE = {
    "config_space_bar": config_space(0x80 | 3, (0x11, 0xff), (0x12, 0x34), (0x13, 0xc0)),
    "config_space_capability": config_space(0x80 | 2, (0x42, 0xff), (0x43, 0xff)),
    "config_space_pointer": config_space(1, (0x34, 0x80)),
    "config_space_status": config_space(2, (6, 0xff), (7, 0xff)),
    "config_space_short": config_space(0x40, size=255),
    "config_space_express": config_space(0x40, size=4096),
    "pl031": pl031(1_700_000_000, 5, 6, 1, 1, -1000, (0x10, 0), (0x1c, 1), (8, 99)),
    "pl031_reserved_bits": pl031(0, 0, 0, 2, 0, 0),
    "pl031_offset_overflows": pl031(2**31 - 1, 0, 0, 0, 1, 2**63 - 1, (0x0c, 1)),
    "queue_split": queue(256, 16, 1, 0, SPLIT, 5, 5),
    "queue_packed": queue(256, 13, 3, 1 << 32, PACKED, 0x8005, 0x8005),
    "queue_not_mapped": queue(256, 256, 1, 0, (0x2000, 0x20fff0, 0x4000)),
    "queue_misaligned": queue(256, 16, 1, 0, (0x2008, 0x3000, 0x4000)),
    "queue_odd_size": queue(256, 13, 1, 0, SPLIT),
    "queue_position_of_none": queue(8, 8, 3, 0, PACKED, 0x0009, 0x7fff),
    "ged": bytes([3, 0xff]),
}


def main():
    for target, seeds in (("guest_frame", GUEST_FRAME), ("nvme", NVME),
                          ("saved_state", SAVED_STATE)):
        folder = CORPUS / target
        folder.mkdir(exist_ok=True)
        for name, seed in seeds.items():
            (folder / name).write_bytes(seed)


if __name__ == "__main__":
    main()
