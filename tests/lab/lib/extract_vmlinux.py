#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Takes the ELF kernel (vmlinux) out of an x86 bzImage.

The compressed payload is found by the setup header's fields (Linux, Documentation/arch/x86/boot.rst):
payload_offset counts from the protected-mode code, which follows setup_sects + 1 sectors.
"""
import lzma
import struct
import subprocess
import sys
import zlib


def payload(image: bytes) -> bytes:
    if len(image) < 0x250 or image[0x202:0x206] != b"HdrS":
        raise ValueError("not a bzImage")
    version, = struct.unpack_from("<H", image, 0x206)
    if version < 0x208:
        raise ValueError("boot protocol before 2.08: no payload fields")
    setup_sects = image[0x1F1] or 4
    offset, length = struct.unpack_from("<II", image, 0x248)
    start = (setup_sects + 1) * 512 + offset
    if start + length > len(image):
        raise ValueError("the payload lies outside the file")
    return image[start:start + length]


def piped(command: list[str], data: bytes) -> bytes:
    try:
        return subprocess.run(command, input=data, capture_output=True, check=False).stdout
    except FileNotFoundError:
        raise ValueError(f"{command[0]} is not installed (./dev setup installs it)") from None


def decompress(data: bytes) -> bytes:
    # What follows the compressed stream is the kernel's length: four bytes.
    if data.startswith(b"\xfd7zXZ\0"):
        return lzma.LZMADecompressor().decompress(data)
    if data.startswith(b"\x1f\x8b"):
        return zlib.decompressobj(31).decompress(data)
    if data.startswith(b"\x28\xb5\x2f\xfd"):
        return piped(["zstd", "-dcq"], data[:-4])
    if data.startswith(b"\x02\x21\x4c\x18"):
        return piped(["lz4", "-dcq"], data[:-4])
    if data.startswith(b"\x7fELF"):
        return data
    raise ValueError(f"unknown compression (starts with {data[:6].hex()})")


def main() -> int:
    if len(sys.argv) != 3:
        print(f"usage: {sys.argv[0]} BZIMAGE VMLINUX", file=sys.stderr)
        return 2
    try:
        with open(sys.argv[1], "rb") as image:
            kernel = decompress(payload(image.read()))
        if not kernel.startswith(b"\x7fELF"):
            raise ValueError("the payload is not an ELF file")
        with open(sys.argv[2], "wb") as out:
            out.write(kernel)
    except (OSError, ValueError, lzma.LZMAError, zlib.error) as error:
        print(f"{sys.argv[1]}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
