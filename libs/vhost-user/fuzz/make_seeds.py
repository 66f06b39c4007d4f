#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Writes the seeds of vhost_user_backend, conversations as front ends have them, of vhost_user_frontend,
those of back ends, of vhost_user_gpu, those on the GPU socket, and bad ones of all."""
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus"
VERSION, REPLY, NEED_REPLY = 1, 4, 8
PROTOCOL = 1 << 30


def message(code, payload=b"", fds=0, flags=VERSION, size=None):
    data = struct.pack("<III", code, flags, len(payload) if size is None else size) + payload
    out = b""
    while data:
        out += bytes([fds, min(len(data), 256) - 1]) + data[:256]
        data, fds = data[256:], 0
    return out


def u64(value):
    return struct.pack("<Q", value)


def state(index, value):
    return struct.pack("<II", index, value)


def region(guest, size, user, offset=0):
    return struct.pack("<QQQQ", guest, size, user, offset)


def table(*regions, count=None, padding=0):
    return struct.pack("<II", len(regions) if count is None else count, padding) + b"".join(regions)


HELLO = (message(1) + message(15) + message(16, u64((1 << 22) - 1)) + message(17) + message(3)
         + message(2, u64(PROTOCOL | 1 << 32)))
RAM = table(region(0x10000, 0x8000, 0x7F0000010000, 0x10000), region(0, 0x8000, 0x7F0000000000))
MEMORY = message(5, RAM, fds=2, flags=VERSION | NEED_REPLY)
RINGS = struct.pack("<IIQQQQ", 0, 0, 0x7F0000001000, 0x7F0000003000, 0x7F0000002000, 0)
START = (message(8, state(0, 128)) + message(10, state(0, 0)) + message(9, RINGS)
         + message(12, u64(0), fds=1) + message(13, u64(0), fds=1) + message(14, u64(0), fds=1)
         + message(18, state(0, 1)))
STOP = message(11, state(0, 0)) + message(34)
CONFIG = struct.pack("<III", 0, 8, 0) + bytes(8)
INFLIGHT = struct.pack("<QQHHI", 0x1000, 0, 1, 128, 0)

seeds = {
    "a_device_starts_and_stops": HELLO + MEMORY + START + STOP,
    "configuration": HELLO + message(24, CONFIG) + message(25, CONFIG),
    "memory_slots": HELLO + message(36) + message(37, u64(0) + region(0, 0x1000, 0x1000), fds=1)
    + message(37, u64(0) + region(0x2000, 0x1000, 0x2000), fds=1)
    + message(38, u64(0) + region(0, 0x1000, 0x1000)),
    "dirty_log": HELLO + MEMORY + message(6, struct.pack("<QQ", 0x100, 0), fds=1) + message(7, fds=1),
    "inflight": HELLO + message(31, INFLIGHT) + message(32, INFLIGHT, fds=1),
    "status": HELLO + message(39, u64(15)) + message(40),
    "migration": HELLO + message(42, struct.pack("<II", 0, 0), fds=1) + message(43),
    "postcopy": HELLO + message(28) + message(29) + MEMORY + message(30),
    "others": HELLO + message(19, u64(1)) + message(20, u64(1500)) + message(21, fds=1)
    + message(22, struct.pack("<QQQBB6x", 0x1000, 0x1000, 0x2000, 3, 2)) + message(23, state(0, 0))
    + message(26, bytes(40)) + message(27, u64(1)) + message(33, fds=1) + message(35, state(0, 0))
    + message(41, bytes(range(16))) + message(44),
    "private_regions": message(1) + message(15) + message(16, u64(1 << 31)) + message(1004) + message(44),
    "crypto_sessions": HELLO + message(26, bytes(632)) + message(26, bytes(1072)) + message(26, bytes(7)),
    "regions_overlap": HELLO + message(5, table(region(0, 0x2000, 0), region(0x1000, 0x1000, 0x8000)), fds=2),
    "region_wraps": HELLO + message(5, table(region(2**64 - 0x1000, 0x1000, 0)), fds=1),
    "region_beyond_its_file": HELLO + message(5, table(region(0, 0x200000, 0)), fds=1),
    "more_regions_than_said": HELLO + message(5, table(region(0, 0x1000, 0), count=32), fds=1),
    "fds_for_nothing": HELLO + message(3, fds=32),
    "too_many_fds": HELLO + message(5, RAM, fds=39),
    "huge_message": message(1, size=0xFFFFFFFF),
    "a_reply": message(1, u64(1), flags=VERSION | REPLY),
    "no_version": message(1, flags=0),
    "torn_header": b"\x00\x04" + struct.pack("<I", 1) + b"\x00",
    "unknown": HELLO + message(45) + message(0),
    "small_inflight": HELLO + message(32, struct.pack("<QQHHI", 16, 0, 1, 128, 0), fds=1),
    "log_beyond_its_file": HELLO + MEMORY + message(6, struct.pack("<QQ", 0x100, 2**40), fds=1),
}



def reply(code, payload=b"", fds=0):
    return message(code, payload, fds, VERSION | REPLY)


def backend(questions, answers, requests=(), offered=(1 << 22) - 1):
    """What a back end says: answers after those to GET_FEATURES and so on, then its own requests."""
    hello = [reply(1, u64(PROTOCOL | 1 << 32)), reply(15, u64(offered))]
    said = [*hello, *answers]
    return bytes([len(said)]) + bytes(questions).ljust(8, b"\x0f") + b"".join(said) + b"".join(requests)


ACK = u64(0)
SHMEM = struct.pack("<B7xQQQQ", 0, 0, 0, 0x1000, 1)
answers = {
    "number": backend([0, 3, 11], [reply(17, u64(2)), reply(40, u64(15)), reply(36, u64(509))]),
    "configuration": backend([1, 1], [reply(24, struct.pack("<III", 0, 64, 0) + bytes(64)), reply(24)]),
    "inflight": backend([2], [reply(31, INFLIGHT, fds=1)]),
    "no_inflight": backend([2], [reply(31, bytes(24))]),
    "base": backend([4], [reply(11, state(1, 7))]),
    "base_of_another_ring": backend([4], [reply(11, state(2, 7))]),
    "acknowledged": backend([5, 5], [reply(8, ACK), reply(8, u64(1))]),
    "objects": backend([6, 7], [reply(41, fds=1), reply(44, struct.pack("<II", 1, 0) + bytes(2048))]),
    "device_state": backend([8, 8], [reply(42, ACK, fds=1), reply(42, u64(0x100))]),
    "postcopy": backend([9], [reply(28, fds=1)]),
    "log": backend([10], [reply(6, ACK)]),
    "too_many_fds": backend([2], [reply(31, INFLIGHT, fds=3)]),
    "an_answer_to_something_else": backend([0], [reply(18, u64(2))]),
    "crypto_sessions": backend([12, 12, 13], [reply(26, bytes(64)), reply(26, b"\xff" * 64), reply(27, ACK)]),
    "private_regions": backend([14], [reply(1004, u64(1) + struct.pack("<B7xQ", 3, 4096))], offered=1 << 31),
    "private_regions_twice": backend([14], [reply(1004, u64(2) + 2 * struct.pack("<B7xQ", 3, 4096))], offered=1 << 31),
    "private_requests": backend([], [], [
        message(1000, struct.pack("<BB6xQQQ", 3, 0, 0, 0, 4096), fds=1), message(1001, struct.pack("<B7xQQ", 0, 0, 1)),
        message(1000, struct.pack("<BB6xQQQ", 1, 0, 2**64 - 4096, 0, 4096), fds=1)]),
    "no_answer": backend([0], []),
    "short_answer": backend([0], [reply(17, bytes(7))]),
    "requests": backend([], [], [
        message(1, struct.pack("<QQQBB6x", 0x1000, 0, 0, 1, 1)), message(2), message(4, state(0, 0)),
        message(5, state(0, 0)), message(3, struct.pack("<QQQ", 0, 0x1000, 0), fds=1),
        message(9, SHMEM, fds=1, flags=VERSION | NEED_REPLY), message(10, SHMEM)]),
    "objects_of_others": backend([], [], [message(code, bytes(range(16)), flags=VERSION | NEED_REPLY)
                                          for code in (6, 7, 8)]),
    "a_map_that_wraps": backend([], [], [message(9, struct.pack("<B7xQQQQ", 0, 0, 2**64 - 1, 2, 0), fds=1)]),
    "a_map_without_a_file": backend([], [], [message(9, SHMEM)]),
}



def gpu(messages, answers=()):
    """What a GPU back end says, in so many chunks, and what a front end answers to the other one."""
    said = b"".join(messages)
    chunks, at = 0, 0
    while at < len(said):
        at += 3 + said[at + 1]
        chunks += 1
    return bytes([chunks]) + said + b"".join(answers)


def show(code, payload=b"", fds=0, flags=0, size=None):
    return message(code, payload, fds, flags, size)


def shown(code, payload=b"", fds=0):
    return message(code, payload, fds, REPLY)


AREA = struct.pack("<IIIII", 0, 0, 0, 4, 4)
DMABUF = struct.pack("<10I", 0, 0, 0, 8, 8, 8, 8, 32, 0, 0)
AGREED = [shown(1, u64(3)), shown(3, bytes(408))]
gpu_socket = {
    "shown": gpu([show(1), show(2, u64(3)), show(3), show(11, bytes(4)), show(7, struct.pack("<III", 0, 4, 4)),
                  show(8, AREA + bytes(64)), show(4, bytes(12)), show(5, bytes(12)), show(9, DMABUF, fds=1),
                  show(12, DMABUF + bytes(8)), show(10, AREA)]),
    "answered": gpu([], [*AGREED, shown(11, bytes(24) + struct.pack("<II", 128, 0) + bytes(1024)), shown(10)]),
    "pixels_that_wrap": gpu([show(8, struct.pack("<IIIII", 0, 0, 0, 1 << 31, 2))]),
    "pixels_beyond_a_message": gpu([show(8, AREA, size=(64 << 20) + 21)]),
    "a_large_frame_that_stops": gpu([show(8, AREA + bytes(500), size=64 << 20)]),
    "another_scanout": gpu([show(7, struct.pack("<III", 16, 4, 4))]),
    "two_buffers": gpu([show(9, DMABUF, fds=2)]),
    "not_agreed_on": gpu([show(12, DMABUF + bytes(8), fds=1)]),
    "a_version": gpu([show(3, flags=1)]),
    "too_long_an_edid": gpu([], [*AGREED, shown(11, bytes(24) + struct.pack("<II", 1025, 0) + bytes(1024))]),
    "an_answer_with_a_buffer": gpu([], [shown(1, u64(3), fds=1)]),
}

for target, inputs in (("vhost_user_backend", seeds), ("vhost_user_frontend", answers), ("vhost_user_gpu", gpu_socket)):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in inputs.items():
        (folder / name).write_bytes(data)
