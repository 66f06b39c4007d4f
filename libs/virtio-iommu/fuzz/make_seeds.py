#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Writes the seeds of virtio_iommu_fuzz: each request, good and bad, faults, and backends that refuse.
The scripts are those of fuzz/make_device_seeds.py."""

import struct
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2] / "fuzz"))
sys.dont_write_bytecode = True
from make_device_seeds import HOST, RESTART, SCRIPTS, TAKE_BACK, good

PAGE = 4096
FEATURES = struct.pack("<Q", 0)


def ask(request, room=4):
    return good(0, [request], [room])


def attach(domain, endpoint, flags=0):
    return ask(struct.pack("<B3xIIII", 1, domain, endpoint, flags, 0))


def detach(domain, endpoint):
    return ask(struct.pack("<B3xII8x", 2, domain, endpoint))


def do_map(domain, page, count, target, flags=3):
    return ask(struct.pack("<B3xIQQQI", 3, domain, page * PAGE, (page + count) * PAGE - 1,
                           target * PAGE, flags))


def unmap(domain, page, count):
    return ask(struct.pack("<B3xIQQI", 4, domain, page * PAGE, (page + count) * PAGE - 1, 0))


def probe(endpoint):
    return ask(struct.pack("<B3xI64x", 5, endpoint), 516)


BOTH = attach(1, 0) + attach(1, 1)
OWN = {
    "map": BOTH + do_map(1, 1, 2, 3) + do_map(1, 8, 4, 0, 1) + unmap(1, 1, 2) + unmap(1, 8, 2)
           + unmap(1, 0, 100) + bytes([TAKE_BACK]),
    "overlap": BOTH + do_map(1, 4, 4, 0) + do_map(1, 3, 2, 0) + do_map(1, 7, 1, 0) + do_map(1, 0, 4, 0)
               + do_map(1, 0xfee00, 1, 0) + do_map(1, 20, 1, 64),
    "many": BOTH + b"".join(do_map(1, 2 * i, 1, i) for i in range(14)) + unmap(1, 0, 1000),
    "domains": attach(0, 0, 1) + attach(0, 1) + attach(2, 1) + attach(9, 1) + detach(2, 1) + detach(0, 0)
               + attach(3, 0) + do_map(3, 1, 1, 1, 7) + attach(1, 0),
    "probe": probe(0) + probe(1) + probe(7),
    "refuse": BOTH + bytes([HOST, 0, 1]) + do_map(1, 1, 1, 1) + attach(2, 0) + bytes([HOST, 0, 0])
              + do_map(1, 1, 1, 1) + bytes([HOST, 0, 1]) + unmap(1, 1, 1) + bytes([RESTART]),
    "faults": BOTH + bytes([HOST, 3, 1, 2, 3, 4]) + good(1, [], [24]) + good(1, [], [8])
              + bytes([HOST, 1, HOST, 2, HOST, 1]) + good(1, [], [24]),
}


def main():
    folder = HERE / "corpus/virtio_iommu"
    folder.mkdir(parents=True, exist_ok=True)
    for name, script in {**OWN, "hostile_chains": SCRIPTS["hostile_chains"]}.items():
        for kind, bits in (("split", 0), ("packed", 1 | 2 | 4 | 8)):
            (folder / f"{name}_{kind}").write_bytes(bytes([1, bits]) + FEATURES + script)


if __name__ == "__main__":
    main()
