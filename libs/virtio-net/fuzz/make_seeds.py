#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Writes the seeds of virtio_net: what any device understands, and one file for each situation of
this one that is worth a start."""
import pathlib
import struct
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "fuzz"))
from make_device_seeds import ALL_FEATURES, HOST, RUN, SCRIPTS, TAKE_BACK, good  # noqa: E402

RECEIVE, TRANSMIT, CONTROL = 0, 1, 2
PLAIN = b"\xff" * 8  # no features of the device
PACKET = bytes(range(64))


def header(flags=0, kind=0, size=0, start=0, offset=0):
    return struct.pack("<BBHHHHH", flags, kind, 0, size, start, offset, 0)


def host_sends(data):
    return bytes([HOST, 2]) + struct.pack("<H", len(data)) + data + bytes([RUN, TAKE_BACK])


def transmit(*parts):
    return good(TRANSMIT, list(parts), []) + bytes([TAKE_BACK])


def receive(*sizes):
    return good(RECEIVE, [], list(sizes))


def command(data):
    return good(CONTROL, [data[:2], data[2:]], [1]) + bytes([TAKE_BACK])


SEGMENTS = header(1, 1, 1448, 34, 16)
NET_SCRIPTS = {
    "transmit": transmit(header() + PACKET) + transmit(header()[:5], header()[5:], PACKET),
    "transmit_checksum": transmit(header(1, 0, 0, 34, 16), PACKET)
                         + transmit(header(1, 0, 0, 60, 9), PACKET),
    "transmit_segments": transmit(SEGMENTS, PACKET, PACKET) + transmit(header(1, 3, 8, 34, 6), PACKET),
    "receive": receive(1600) + host_sends(PACKET) + host_sends(PACKET) + receive(1600),
    "receive_merged": receive(20) + receive(30) + host_sends(header() + PACKET) + receive(90),
    "receive_segments": receive(4000) + host_sends(SEGMENTS + PACKET),
    "control": command(b"\0\0\1") + command(b"\5\0" + bytes(8)) + command(b"\1\1\2\0\0\0\0\1")
               + bytes([HOST, 1]) + command(b"\3\0") + bytes([HOST, 0, 0]),
    "mac_tables": command(b"\1\0\1\0\0\0" + bytes(6) + bytes(4))
                  + command(b"\1\0\xab\xaa\xaa\x2a" + bytes(8)),
}


def main():
    folder = HERE / "corpus/virtio_net"
    folder.mkdir(parents=True, exist_ok=True)
    for name, script in (SCRIPTS | NET_SCRIPTS).items():
        (folder / f"{name}_split").write_bytes(bytes([0, 0]) + ALL_FEATURES + script)
        (folder / f"{name}_packed").write_bytes(bytes([1, 1 | 2 | 8]) + ALL_FEATURES + script)
    for name, script in NET_SCRIPTS.items():
        (folder / f"{name}_plain").write_bytes(bytes([1, 2]) + PLAIN + script)


if __name__ == "__main__":
    main()
