#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Writes seeds for targets that use tests/support/device_fuzz.h: scripts that any device understands.

    fuzz/make_device_seeds.py libs/virtio-rng/fuzz/corpus/virtio_rng
"""

import pathlib
import struct
import sys

ALL_FEATURES = struct.pack("<Q", 0)  # what is not wanted
RUN, HOST, RESTART, RESET_QUEUE, TAKE_BACK, KICK = 13, 12, 11, 10, 9, 8
CONFIG, MEMORY, HOSTILE, ANYWHERE, GOOD = 7, 6, 5, 4, 0
HOSTILE_CHAINS = 19
QUEUES = 3  # of a device; those beyond its own begin anew


def good(queue, readable, writable):
    """A request of at most three parts each way, served at once."""
    shape = 0x80 | len(writable) << 2 | len(readable)
    script = bytes([GOOD, queue, shape])
    for part in readable:
        script += bytes([len(part)]) + part
    return script + b"".join(struct.pack("<H", size) for size in writable)


def anywhere(queue, *parts):
    script = bytes([ANYWHERE, queue, len(parts) - 1])
    return script + b"".join(struct.pack("<IHB", *part) for part in parts)


def everywhere(make):
    return b"".join(make(queue) for queue in range(QUEUES))


SCRIPTS = {
    "requests": everywhere(lambda q: good(q, [b"\0" * 16], [64]) + good(q, [b"12", b"345"], [1, 2, 3])
                           + good(q, [], [4095]) + good(q, [b"x" * 200], [])) + bytes([TAKE_BACK]),
    "hostile_chains": everywhere(lambda q: b"".join(bytes([HOSTILE, q, i, RUN, TAKE_BACK])
                                                    for i in range(HOSTILE_CHAINS))),
    "parts_anywhere": everywhere(lambda q: anywhere(q, (0x10000, 64, 0), (0x10000, 64, 1))
                                 + anywhere(q, (0x20000, 16, 0), (0x10ffff, 2, 1))
                                 + anywhere(q, (0, 1, 1)) + bytes([RUN])),
    "configuration": bytes([CONFIG, 0, 8]) + b"\xff" * 8 + bytes([CONFIG, 8, 4]) + b"!\0\0\0"
                     + bytes([CONFIG, 250, 8]) + b"\0" * 8,
    "spoiled_rings": everywhere(lambda q: good(q, [b"1"], [8])) + b"".join(
        bytes([MEMORY]) + struct.pack("<I", at) + bytes([32]) + b"\xff" * 32 + bytes([KICK, 0, RUN])
        for at in (0, 0x10000, 0x20000)),
    "restarts": everywhere(lambda q: bytes([GOOD, q, 4]) + struct.pack("<H", 100) + bytes([RESTART])),
    "queue_resets": everywhere(lambda q: good(q, [b"1"], [8]) + bytes([RESET_QUEUE, q, 1])
                               + bytes([KICK, q, RUN, RESET_QUEUE, q, 0])),
    "host_events": b"".join(bytes([HOST, i, 20]) + b"h" * 20 + bytes([RUN]) for i in range(4))
                   + good(0, [], [64]) + good(1, [b"abc"], []),
}




def rtc(*words):
    """A request of the RTC device, answered with 16 bytes if there is room."""
    return good(0, [struct.pack("<HHHHHHHH", *words, *([0] * (8 - len(words))))], [16])


def gpio(message, line, value=0):
    return good(0, [struct.pack("<HHI", message, line, value)], [2])


def i2c(address, data=None, read=0, more=False, queued=False):
    """Bytes to write, or how many to read; `more` of a group follow. `queued`: not served at once."""
    head = struct.pack("<HHI", address, 0, more | (data is None) << 1)
    script = good(0, [head] + ([data] if data else []), ([read] if read else []) + [1])
    if queued:
        return script[:2] + bytes([script[2] & 0x7f]) + script[3:]
    return script + bytes([TAKE_BACK])


def host(kind, data=b""):
    return bytes([HOST, kind]) + data


def typed(text):
    return host(2, bytes([len(text)]) + text)


FLUSH = bytes(4)
# Scripts of a target's own.
OWN = {
    "virtio_console": {
        "lines_both_ways": typed(b"hello\n") + good(0, [], [4]) + good(0, [], [100])
                           + good(1, [b"login: ", b"secret"], []) + bytes([TAKE_BACK])
                           + typed(b"x" * 64) + typed(b"y") + good(0, [], [30]) * 2
                           + bytes([TAKE_BACK]) + good(0, [b"?"], [8]) + good(1, [b"!"], [8]),
        "output_that_waits": good(1, [b"a" * 90], []) + good(1, [b"b" * 30, b"c" * 30], [])
                             + bytes([CONFIG, 8, 4]) + b"!\0\0\0" + host(0, b"\x14") + bytes([RUN])
                             + host(0, b"\xff") + bytes([RUN, TAKE_BACK]),
        "output_that_is_lost": good(1, [b"a" * 250], []) + good(1, [b"b"], []) + bytes([TAKE_BACK]),
    },
    "virtio_gpio": {
        "wires": gpio(3, 0, 1) + gpio(5, 0, 1) + gpio(4, 1) + gpio(4, 0) + gpio(3, 0, 2) + host(4)
                 + gpio(4, 0) + gpio(4, 1) + host(0) + gpio(4, 0) + gpio(2, 0) + bytes([TAKE_BACK]),
        "value_before_direction": gpio(5, 0, 1) + gpio(3, 0, 1) + gpio(4, 0) + gpio(4, 1)
                                  + bytes([TAKE_BACK]),
        "names": good(0, [struct.pack("<HHI", 1, 0, 0)], [9]) + good(
            0, [struct.pack("<HHI", 1, 0, 0)], [8]) + bytes([TAKE_BACK]),
        "interrupts": gpio(6, 2, 3) + good(1, [b"\2\0"], [1]) + host(6) + bytes([RUN]) + gpio(4, 2)
                      + gpio(6, 2, 4) + gpio(3, 2, 1) + gpio(6, 2) + gpio(3, 2) + bytes([TAKE_BACK]),
    },
    "virtio_i2c": {
        "refused": i2c(0x40, b"\1ab", more=True, queued=True) + i2c(0x40, b"\xee", more=True, queued=True)
                   + i2c(0x40, read=3) + i2c(0x40, b"\1") + i2c(0x40, read=3),
        "groups": i2c(0x40, b"\5xyz", more=True, queued=True) + i2c(0x40, b"\5", more=True, queued=True)
                  + i2c(0x40, read=3, more=True, queued=True) + i2c(0x60, b"\0q", more=True, queued=True)
                  + i2c(0x60, b"\0", more=True, queued=True) + i2c(0x60, read=1)
                  + i2c(0xfff6, b"\7", more=True) + i2c(0xfff6, read=40)
                  + i2c(0x40, b"\0", more=True, queued=True) + i2c(0x22, read=1, more=True, queued=True)
                  + i2c(0x40, read=1),
        "smbus": b"".join(i2c(0x40, bytes(range(1, n + 1))) for n in (0, 1, 2, 3, 4, 33))
                 + b"".join(i2c(0x60, b"\3", more=True, queued=True) + i2c(0x60, read=n)
                            for n in (1, 2, 3, 32, 33)) + i2c(0x60, b"\3ab", more=True, queued=True)
                 + i2c(0x60, read=2) + i2c(0x60, read=1) + i2c(0x60),
    },
    "virtio_pmem": {
        "flushes_that_fail": good(0, [FLUSH], [4]) + host(1) + good(0, [FLUSH], [4])
                             + bytes([TAKE_BACK]) + host(0) + good(0, [FLUSH, b"more"], [2, 2]) + bytes([TAKE_BACK]),
        "no_flushes": good(0, [b"\1\0\0\0"], [4]) + good(0, [b"\0"], [4]) + good(0, [FLUSH], [3])
                      + bytes([TAKE_BACK]),
    },
    "virtio_rtc": {
        "messages": rtc(0x1000) + b"".join(rtc(message, 0, 0, 0, clock)
                                           for message in (1, 2, 0x1001, 0x1002)
                                           for clock in range(3)) + bytes([TAKE_BACK]),
        "short": good(0, [b"\0\x10" + bytes(5)], [16]) + good(0, [b"\1\0" + bytes(6)], [16])
                 + good(0, [b"\0\x10" + bytes(6)], [8]) + good(0, [bytes(16)], [7])
                 + bytes([TAKE_BACK]),
    },
    "virtio_watchdog": {
        "signs_and_pauses": good(0, [], [1]) + bytes([RUN, RUN]) + host(1) + good(0, [], [1])
                            + bytes([RUN]) + host(0) + bytes([RUN, TAKE_BACK, RESTART]) + bytes([RUN]),
    },
}

# What targets read before the driver's options.
PREFIX = {"virtio_balloon": 1, "virtio_console": 1, "virtio_iommu": 1, "virtio_mem": 2, "virtio_net": 1}
# How the second agent of double-fetch mode begins: it acts on each second load, or on each seventh.
AGENTS = {"eager": 0x01000007, "lazy": 0x06001234}


def write_double_fetches(folder):
    """Requests whose bytes change while they are read: tests/support/second_agent.h."""
    for name, agent in AGENTS.items():
        for kind, bits in (("split", 0x10), ("packed", 0x10 | 1 | 2 | 4 | 8)):
            options = bytes(PREFIX.get(folder.name, 0)) + bytes([bits]) + ALL_FEATURES
            script = options + struct.pack("<I", agent) + SCRIPTS["requests"] * 2
            (folder / f"double_fetch_{name}_{kind}").write_bytes(script)


def main():
    for folder in map(pathlib.Path, sys.argv[1:]):
        folder.mkdir(parents=True, exist_ok=True)
        write_double_fetches(folder)
        prefix = bytes(PREFIX.get(folder.name, 0))
        for name, script in {**SCRIPTS, **OWN.get(folder.name, {})}.items():
            for kind, bits in (("split", 0), ("packed", 1 | 2 | 4 | 8)):
                (folder / f"{name}_{kind}").write_bytes(prefix + bytes([bits]) + ALL_FEATURES + script)


if __name__ == "__main__":
    main()
