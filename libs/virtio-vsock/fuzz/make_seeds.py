#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Writes the seeds of virtio_vsock: one script for each situation worth a start."""
import pathlib
import struct

CORPUS = pathlib.Path(__file__).parent / "corpus/virtio_vsock"
PACKET, HOST, BUFFER, TAKE, RAW, CHANGE, RUN = 0, 2, 3, 4, 5, 6, 7
REQUEST, RESPONSE, RESET, SHUTDOWN, DATA, UPDATE, ASK = 1, 2, 3, 4, 5, 6, 7
MESSAGES, CLIENT = 0x80, 0x80
HONEST = 0x10  # of ports: `forwarded` is a part of what came, 0xffff all of it


def packet(op, guest=1, host=0, flags=0, payload=0, kind=0, buffer=50000, forwarded=0):
    ports = guest | (host & 3) << 2 | (host & (CLIENT | HONEST))
    return bytes([PACKET, ports, op | flags << 4 | kind]) \
        + struct.pack("<HHH", buffer, forwarded, payload) + bytes([RUN])


def buffers(count, size=120):
    return bytes([BUFFER, size]) * count


def host(what, more=b"", which=0):
    return bytes([HOST, what, which]) + more + bytes([RUN])


CONNECT, ACCEPT, GREET, SEND, FLOOD, READ, SHUT_WR, CLOSE = 0, 1, 2, 3, 4, 5, 6 | 1 << 3, 7
ACCEPT_MESSAGES = 1 | 1 << 3
START = buffers(8) + packet(REQUEST) + host(ACCEPT)
CALL = buffers(8) + host(CONNECT) + host(GREET, b"\x01") + packet(RESPONSE, host=CLIENT)
SEQ = buffers(8) + packet(REQUEST, host=1, kind=MESSAGES) + host(ACCEPT_MESSAGES)
FILL = (packet(DATA, payload=4000) + bytes([TAKE])) * 60
TAIL = bytes([RUN, TAKE])
seeds = {
    "guest_connects": START + packet(DATA, payload=10) + host(READ) + host(SEND, b"\x05hello"),
    "host_connects": CALL + packet(DATA, host=CLIENT, payload=10) + host(SEND, b"\x05hello"),
    "refused": buffers(4) + packet(REQUEST, host=3) + packet(DATA, host=2, payload=1),
    "slow_host": START + FILL + packet(SHUTDOWN, flags=3) + host(READ) * 8,
    "overrun": START + packet(DATA, payload=5000),
    "liar": START + packet(UPDATE, forwarded=9),
    "half_closes": START + host(SHUT_WR) + packet(DATA, payload=9) + packet(SHUTDOWN, flags=2),
    "host_closes": START + host(SEND, b"\x03bye") + host(CLOSE) + packet(RESET),
    "guest_closes": START + packet(SHUTDOWN, flags=3),
    "no_credit": START + packet(UPDATE, buffer=3) + host(SEND, b"\x05hello")
                 + packet(UPDATE, forwarded=3),
    "no_buffers": packet(REQUEST) + host(ACCEPT) + host(FLOOD, b"\xff\xff") + buffers(20),
    "messages": SEQ + packet(DATA, host=1, kind=MESSAGES, flags=1, payload=40)
                + packet(DATA, host=1, kind=MESSAGES, payload=3)
                + packet(DATA, host=1, kind=MESSAGES, flags=3, payload=4)
                + host(FLOOD, b"\x00\x60") + buffers(8) + host(READ) * 3,
    "late_reset": START + FILL + packet(SHUTDOWN, flags=3) + packet(RESET)
                  + packet(REQUEST) + host(READ) * 8,
    "slow_client": host(CONNECT) + host(SEND, b"\x03CON") + bytes([CHANGE, 3])
                   + host(SEND, b"\x01N"),
    "bad_client": host(CONNECT) + host(SEND, b"\x0fGET / HTTP/1.1\n"),
    "transport_reset": START + bytes([CHANGE, 1, RUN, CHANGE, 6, RUN, TAKE]),
    "restart": START + bytes([CHANGE, 0]) + buffers(4) + packet(REQUEST),
    "room_in_steps": buffers(8) + packet(REQUEST, buffer=500) + host(ACCEPT)
                     + host(FLOOD, b"\xb8\x0b") + bytes([TAKE]) + host(SHUT_WR)
                     + (packet(UPDATE, host=HONEST, buffer=500, forwarded=0xffff)
                        + buffers(2, 9) + bytes([RUN, TAKE])) * 8,
    "parts_of_messages": buffers(8, 9) + packet(REQUEST, host=1, kind=MESSAGES, buffer=1000)
                         + host(ACCEPT_MESSAGES) + host(FLOOD, b"\x84\x03") + host(FLOOD, b"\x0a\0")
                         + host(FLOOD, b"\x84\x03") + host(SHUT_WR) + bytes([TAKE])
                         + (packet(UPDATE, host=1 | HONEST, kind=MESSAGES, buffer=1000,
                                   forwarded=0xffff) + buffers(3, 9) + bytes([RUN, TAKE])) * 4,
    "last_words": buffers(8) + SEQ + host(FLOOD, b"\x10\0") + bytes([TAKE])
                  + packet(DATA, host=1, kind=MESSAGES, flags=1, payload=40)
                  + bytes([HOST, FLOOD, 0]) + b"\x2c\x01" + host(CLOSE),
    "host_sends_and_goes": CALL + host(FLOOD, b"\0\x10") + host(CLOSE) + buffers(8)
                           + bytes([RUN, TAKE]),
    "raw": buffers(4) + bytes([RAW, 43]) + b"\x03" * 43 + bytes([RUN]),
}

CORPUS.mkdir(parents=True, exist_ok=True)
for name, script in seeds.items():
    for ring, bits in (("split", 0), ("packed", 1)):
        (CORPUS / f"{name}_{ring}").write_bytes(bytes([bits]) + script + TAIL)
