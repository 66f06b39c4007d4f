#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Makes the seeds of qcow2_image_fuzz: small images by qemu-img, and requests for them."""
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


def main() -> None:
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
