#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Writes the seeds of virtio_mem_fuzz: each request, good and bad, and a host that changes its mind.
The scripts are those of fuzz/make_device_seeds.py."""

import struct
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "fuzz"))
sys.dont_write_bytecode = True
from make_device_seeds import HOST, RESTART, SCRIPTS, TAKE_BACK, good

# Asks for all features: UNPLUGGED_INACCESSIBLE is needed.
FEATURES = struct.pack("<Q", 0)
BASE, BLOCK = 0x100000, 4096
PLUG, UNPLUG, UNPLUG_ALL, STATE = range(4)


def ask(kind, block=0, count=0, odd=0):
    request = struct.pack("<H6xQH6x", kind, BASE + block * BLOCK + odd, count)
    return good(0, [request], [10])


OWN = {
    "plug": ask(PLUG, 2, 5) + ask(STATE, 0, 9) + ask(UNPLUG, 3, 2) + ask(UNPLUG_ALL) + ask(STATE, 0, 20),
    "twice": ask(PLUG, 0, 4) + ask(PLUG, 3, 1) + ask(UNPLUG, 0, 4) + ask(UNPLUG, 0, 4) + bytes([TAKE_BACK]),
    "bounds": ask(PLUG, -1, 2) + ask(PLUG, 99, 2) + ask(PLUG, 0, 0xffff) + ask(PLUG, 0, 0) + ask(STATE, 0, 1, 8),
    "host": ask(PLUG, 0, 8) + bytes([HOST, 2, 1, HOST, 2, 90]) + ask(PLUG, 20, 30) + bytes([HOST, 0, 1])
            + ask(UNPLUG_ALL) + bytes([HOST, 0, 0, HOST, 1]) + ask(PLUG, 0, 8) + bytes([RESTART]) + ask(STATE, 0, 8),
}


def main():
    folder = HERE / "corpus/virtio_mem"
    folder.mkdir(parents=True, exist_ok=True)
    for name, script in {**OWN, "hostile_chains": SCRIPTS["hostile_chains"]}.items():
        for kind, bits in (("split", 0), ("packed", 1 | 2 | 4 | 8)):
            (folder / f"{name}_{kind}").write_bytes(bytes([40, 16, bits]) + FEATURES + script)


if __name__ == "__main__":
    main()
