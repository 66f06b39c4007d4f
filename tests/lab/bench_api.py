#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""bench_api.py VMM-REFERENCE [RUNS]: processor time from exec to the first answer of the API, next to
QEMU's microvm machine and its QMP, where QEMU is installed. No guest runs, so no KVM is needed."""
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

PING = b"GET /api/v1/vmm.ping HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"


def processor_ms(pid):
    """Of all threads that are there."""
    total = 0
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/schedstat", encoding="ascii") as file:
            total += int(file.read().split()[0])
    return total / 1e6


def connect(path):
    while True:
        client = socket.socket(socket.AF_UNIX)
        try:
            client.connect(path)
            return client
        except OSError:
            client.close()
            time.sleep(0.0002)


def first_answer(command, path, question):
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with connect(path) as client:
        if question is None:
            client.recv(4096)  # QMP begins by itself
            question = b'{"execute":"qmp_capabilities"}\n'
        client.sendall(question)
        client.recv(4096)
        used = processor_ms(process.pid)
    process.kill()
    process.wait()
    return used


def measure(name, command, question, runs):
    used = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/socket"
            used.append(first_answer([word.replace("SOCKET", path) for word in command], path, question))
    print(f"{name:<14} {statistics.median(used):7.2f} ms (least {min(used):.2f})")
    return statistics.median(used)


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 15
    ours = measure("vmm-reference", [sys.argv[1], "--api-socket", "SOCKET"], PING, runs)
    qemu = shutil.which("qemu-system-x86_64")
    if qemu is None:
        return
    theirs = measure("qemu-microvm", [qemu, "-M", "microvm", "-accel", "tcg", "-m", "512", "-nodefaults",
                                      "-no-user-config", "-display", "none", "-S", "-qmp",
                                      "unix:SOCKET,server=on,wait=off"], None, runs)
    print(f"{theirs / ours:.1f} times ours")


if __name__ == "__main__":
    main()
