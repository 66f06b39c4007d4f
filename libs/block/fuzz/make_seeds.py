#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Makes the seeds of qcow2_image_fuzz: small images by qemu-img, and requests for them; and those of
qcow2_model_fuzz: shapes of images, and steps."""
import pathlib
import struct
import subprocess
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
READ, WRITE, DISCARD, ZEROES, FLUSH, RESIZE = 0, 1, 3, 4, 5, 7

STEPS = [
    (READ, 0, 128, 0), (WRITE, 0, 3, 1), (WRITE, 1, 40, 30), (DISCARD, 0, 9, 32),
    (ZEROES, 2, 20, 0), (ZEROES, 0, 5, 50), (FLUSH, 0, 0, 0), (RESIZE, 0, 0, 300),
    (WRITE, 0, 20, 270), (READ, 0, 300, 0), (RESIZE, 0, 0, 20), (FLUSH, 0, 0, 0),
]

IMAGES = {
    'v3': ('cluster_size=512', ["write -P 1 3k 5k", "write -z 10k 2k"]),
    'v2': ('cluster_size=512,compat=0.10', ["write -P 1 3k 5k"]),
    'narrow': ('cluster_size=1k,refcount_bits=1', ["write -P 2 0 4k"]),
    'wide': ('cluster_size=512,refcount_bits=64', ["write -P 2 0 4k"]),
    'lazy': ('cluster_size=512,lazy_refcounts=on', ["write -P 3 20k 2k"]),
    'zlib': ('cluster_size=512,compression_type=zlib', ["write -c -P 4 0 512", "write -c -P 5 4k 512"]),
    'zstd': ('cluster_size=4k,compression_type=zstd', ["write -c -P 4 0 4k", "write -c -P 5 8k 4k"]),
}


def seed(image: bytes, flags: int = 0) -> bytes:
    steps = b''.join(struct.pack('<BBHI', kind, how, count, at) for kind, how, count, at in STEPS)
    return struct.pack('<BB', flags, len(STEPS)) + steps + image


# Steps of qcow2_model_fuzz.
REAP, SLOW_WRITE, MOVE, END_WRITE, SLOW_READ, END_READ, SYNC = 4, 5, 6, 7, 8, 9, 10
OTHER_SIZE, OPEN_AGAIN, POWER_CUT, LOOK = 11, 12, 13, 14
DURABLE, MAY_UNMAP = 8, 16


def shape(cluster: int, order: int, sectors: int, places: str, *, v2: bool = False,
          zstd: bool = False, snapshot: bool = False) -> bytes:
    """Of places: - absent, z zeros, Z zeros with a place, p compressed, d data; a capital D: a free
    cluster before it."""
    bits = {512: 0, 1024: 1, 4096: 2}[cluster] | v2 << 2 | zstd << 3 | snapshot << 4
    words = {'-': 0, 'z': 2, 'Z': 3, 'p': 4, 'd': 6, 'D': 0x46}
    kinds = bytes(words[places[i % len(places)]] for i in range(16))
    return struct.pack('<BBH', bits, order, sectors - 1) + kinds


def ask(kind: int, first: int, count: int, flags: int = 0) -> bytes:
    return struct.pack('<BBHB', 0, kind | flags, first, count - 1)


def slow(step: int, first: int, count: int) -> bytes:
    return struct.pack('<BHB', step, first, count - 1)


ALL = b''.join([
    ask(READ, 0, 90), bytes([REAP]), ask(WRITE, 1, 3), ask(WRITE, 40, 30), ask(READ, 0, 96),
    bytes([REAP, SYNC]), ask(DISCARD, 8, 32), ask(ZEROES, 50, 9, MAY_UNMAP), bytes([REAP, LOOK]),
    ask(ZEROES, 3, 20), ask(WRITE, 4, 1, DURABLE), bytes([REAP, LOOK, OPEN_AGAIN, 0, LOOK]),
])
SLOW = b''.join([
    slow(SLOW_READ, 0, 40), slow(SLOW_WRITE, 1, 1), slow(SLOW_WRITE, 3, 2), bytes([MOVE, 1]),
    ask(DISCARD, 8, 16), bytes([REAP, SYNC]), slow(SLOW_WRITE, 40, 9), bytes([MOVE, 0, END_WRITE, 0]),
    bytes([END_READ, 0, END_WRITE, 1]), slow(SLOW_READ, 0, 9), bytes([END_WRITE, 0x42, LOOK]),
])
SIZES = b''.join([
    ask(WRITE, 0, 90), bytes([REAP]), struct.pack('<BH', OTHER_SIZE, 11), bytes([LOOK]),
    struct.pack('<BH', OTHER_SIZE, 249), bytes([LOOK]), ask(WRITE, 200, 50), bytes([REAP, SYNC]),
    struct.pack('<BH', OTHER_SIZE, 99), bytes([LOOK]),
])
CUTS = b''.join([
    ask(WRITE, 0, 60), bytes([REAP, SYNC]), ask(WRITE, 10, 20), ask(DISCARD, 30, 20),
    bytes([REAP, POWER_CUT, 0, 0x55, 0x0f, 0, LOOK]), ask(WRITE, 3, 60), bytes([REAP, SYNC]),
])


def cut_in_flush(nth: int, bits: int) -> bytes:
    """What is written and given up meanwhile, and a power cut in the Nth sync of a flush."""
    return b''.join([
        ask(WRITE, 0, 90), bytes([REAP, SYNC]), ask(DISCARD, 0, 40), bytes([REAP]),
        ask(WRITE, 90, 30), bytes([REAP, POWER_CUT, nth]) + bytes([bits] * 8), bytes([LOOK]),
        ask(WRITE, 0, 99), bytes([REAP, LOOK]),
    ])


# A write of several clusters that others join at its ends, and that does not end well.
JOINS = b''.join([
    slow(SLOW_WRITE, 3, 16), ask(WRITE, 20, 1), ask(WRITE, 1, 2), bytes([REAP, LOOK, SYNC]),
    slow(SLOW_WRITE, 43, 16), ask(WRITE, 60, 1), bytes([REAP, MOVE, 1, END_WRITE, 0x41, LOOK]),
    bytes([MOVE, 0, END_WRITE, 0, LOOK]), slow(SLOW_WRITE, 83, 16), ask(WRITE, 99, 1),
    bytes([REAP, POWER_CUT, 0, 0xff, 0xff, 0xff, LOOK]),
])
NOTHING_BELOW = bytes([0, 0])

MODELS = {
    'plain': shape(512, 4, 100, '-dzZ') + NOTHING_BELOW + ALL + SLOW,
    'version_2': shape(512, 4, 140, 'd-p', v2=True) + NOTHING_BELOW + ALL + CUTS,
    'one_bit': shape(1024, 0, 150, 'dDz-') + NOTHING_BELOW + SLOW + SIZES,
    'wide': shape(512, 6, 150, 'dDdZ') + NOTHING_BELOW + ALL + SIZES,
    'packed': shape(4096, 3, 150, 'pp-d') + NOTHING_BELOW + ALL + SLOW,
    'zstd': shape(512, 5, 99, 'pzd', zstd=True) + NOTHING_BELOW + ALL + CUTS,
    'snapshot': shape(512, 4, 130, 'dZp-d', snapshot=True) + NOTHING_BELOW + ALL + SLOW + CUTS,
    'above_raw': shape(512, 4, 130, '-zd') + bytes([1]) + shape(512, 4, 90, 'd') + bytes(1) + ALL
                 + SIZES,
    'above_qcow2': shape(1024, 4, 131, '--zd', snapshot=True) + bytes([2])
                   + shape(4096, 4, 150, 'dp-', zstd=True) + bytes(1) + SLOW + ALL,
    'joins': shape(4096, 4, 120, '-') + NOTHING_BELOW + JOINS,
    'joins_old_data': shape(4096, 4, 120, 'dpZ', snapshot=True) + NOTHING_BELOW + JOINS,
    **{f'cut_in_sync_{nth}_{bits}': shape(512, 4, 120, 'd-p', snapshot=bits == 0xaa)
       + NOTHING_BELOW + cut_in_flush(nth, bits) for nth in (1, 2, 3) for bits in (0xf0, 0xaa, 0x0f)},
    'keeps_space': shape(512, 1, 100, 'dZz') + bytes([0, 1]) + ALL + SIZES,
}


def main() -> None:
    models = HERE / 'corpus' / 'qcow2_model'
    models.mkdir(parents=True, exist_ok=True)
    for name, script in MODELS.items():
        (models / name).write_bytes(script)
    corpus = HERE / 'corpus' / 'qcow2_image'
    corpus.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for name, (options, commands) in IMAGES.items():
            path = pathlib.Path(folder) / name
            subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-o', options, path, '64k'],
                           check=True)
            for command in commands:
                subprocess.run(['qemu-io', '-f', 'qcow2', '-c', command, path], check=True,
                               stdout=subprocess.DEVNULL)
            if name == 'v3':  # two users of most clusters
                subprocess.run(['qemu-img', 'snapshot', '-c', 's', path], check=True)
            image = path.read_bytes()
            (corpus / name).write_bytes(seed(image))
            if name == 'zlib':
                (corpus / 'readonly').write_bytes(seed(image, 1))
            if name == 'v2':
                (corpus / 'keep_space').write_bytes(seed(image, 2))
            if name == 'lazy':  # not closed, and nothing is counted
                dirty = bytearray(image)
                dirty[79] |= 1
                (corpus / 'dirty').write_bytes(seed(bytes(dirty)))


if __name__ == '__main__':
    main()
