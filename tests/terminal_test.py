#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Checks that vmm-reference leaves its terminal as it found it, on every way out.

usage: terminal_test.py VMM-REFERENCE

Where there is no KVM, the VMM ends with an error after it has made the terminal raw; where there is
one, its guest halts and signals end it.
"""
import os
import pty
import signal
import struct
import subprocess
import sys
import tempfile
import termios
import time


def kernel() -> bytes:
    """A 64-bit ELF with a PVH entry at 1 MiB: cli; hlt; jmp back."""
    code = b"\xfa\xf4\xeb\xfc".ljust(16, b"\x90")
    note = struct.pack("<III4sI", 4, 4, 18, b"Xen\0", 0x100000)
    head, count = 64, 2
    notes = head + 56 * count
    at = notes + len(note)
    elf = b"\x7fELF\x02\x01\x01" + bytes(9)
    elf += struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0x100000, head, 0, 0, 64, 56, count, 64, 0, 0)
    elf += struct.pack("<IIQQQQQQ", 1, 5, at, 0x100000, 0x100000, len(code), len(code), 4096)
    elf += struct.pack("<IIQQQQQQ", 4, 4, notes, 0, 0, len(note), len(note), 4)
    return elf + note + code


def run(vmm: str, path: str, end: int | None) -> str | None:
    """One life of the VMM; `end` is a signal. Answers what is wrong."""
    controller, terminal = pty.openpty()
    before = termios.tcgetattr(terminal)
    command = [vmm, "--kernel", path, "--memory", "size=64M", "--serial", "tty,escape=on"]
    process = subprocess.Popen(command, stdin=terminal, stdout=terminal, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    raw = False
    while process.poll() is None and time.monotonic() < deadline:
        if termios.tcgetattr(terminal) != before:
            raw = True
            if end is None:
                os.write(controller, b"\x01x")  # Ctrl-a x
            else:
                process.send_signal(end)
            break
        time.sleep(0.01)
    try:
        process.communicate(timeout=60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return "it did not end"
    after = termios.tcgetattr(terminal)
    os.close(controller)
    os.close(terminal)
    if after != before:
        return f"the terminal was left changed (raw seen: {raw}, status {process.returncode})"
    return None


def main() -> int:
    failures = 0
    with tempfile.NamedTemporaryFile(suffix=".elf") as file:
        file.write(kernel())
        file.flush()
        ways = {"an error or Ctrl-a x": None, "SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT,
                "SIGHUP": signal.SIGHUP, "a crash (SIGSEGV)": signal.SIGSEGV,
                "SIGQUIT": signal.SIGQUIT}
        for name, end in ways.items():
            wrong = run(sys.argv[1], file.name, end)
            print(f"{'not ok' if wrong else 'ok'} - the terminal after {name}" + (f" # {wrong}" if wrong else ""))
            failures += wrong is not None
    return 1 if failures else 0


sys.exit(main())
