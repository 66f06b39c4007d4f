#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Writes the seeds of virtio_balloon_fuzz: what each queue is for, over small and large pages of the
host, with and without taking them. The scripts are those of fuzz/make_device_seeds.py."""

import struct
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "fuzz"))
sys.dont_write_bytecode = True
from make_device_seeds import ALL_FEATURES, CONFIG, HOST, RESTART, RUN, TAKE_BACK, anywhere, good

RAM_PAGE = 0x10 + 0x80  # of the protocol, in the middle of RAM


def pages(*numbers):
    return struct.pack(f"<{len(numbers)}I", *numbers)


def statistic(tag, value):
    return struct.pack("<HQ", tag, value)


RUN_OF_16 = pages(*range(RAM_PAGE, RAM_PAGE + 16))
REPORT = anywhere(4, (0xa0000, 0x8000, 1), (0xb0000, 0xffff, 1)) + bytes([RUN])
STATISTICS = good(2, [statistic(4, 1000) + statistic(77, 1)], [])
POISON = bytes([CONFIG, 12, 4]) + b"\xaa" * 4
SCRIPTS = {
    "inflate": good(0, [RUN_OF_16], []) + good(1, [pages(RAM_PAGE + 1)], []) + good(0, [RUN_OF_16], []),
    "bad_pages": good(0, [pages(0, 0xffffffff, RAM_PAGE, RAM_PAGE, 0x10f, 0x110)], []) * 2,
    "rings": good(0, [pages(*range(0x10, 0x40))], []) + good(0, [RUN_OF_16], []) + bytes([RESTART])
             + good(0, [RUN_OF_16], []),
    "report": REPORT + POISON + REPORT + bytes([TAKE_BACK]),
    "statistics": STATISTICS + bytes([HOST, 1, RUN, TAKE_BACK]) + STATISTICS + bytes([HOST, 1, RUN]),
    "target": bytes([HOST, 0]) + struct.pack("<Q", 1 << 20) + bytes([CONFIG, 4, 4]) + pages(256),
}


def main():
    folder = HERE / "corpus/virtio_balloon"
    folder.mkdir(parents=True, exist_ok=True)
    for name, script in SCRIPTS.items():
        for kind, bits in (("split", 0), ("packed", 1 | 2 | 4 | 8)):
            for flags in (0, 3):
                seed = bytes([flags, bits]) + ALL_FEATURES + script
                (folder / f"{name}_{kind}_{flags}").write_bytes(seed)


if __name__ == "__main__":
    main()
