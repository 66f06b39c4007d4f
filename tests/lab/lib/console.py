#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Runs a command on a terminal of its own, passed through to ours; Ctrl-a x ends it.

The VMM puts the inner terminal in raw mode, this program the outer one; both are restored however
either of them ends (short of SIGKILL to this one). Ctrl-a twice sends one Ctrl-a.
"""
import fcntl
import os
import pty
import select
import signal
import sys
import termios
import tty

CTRL_A = 1


class Escape:
    """Finds Ctrl-a x in what is typed."""

    def __init__(self) -> None:
        self.armed = False

    def feed(self, typed: bytes) -> tuple[bytes, bool]:
        """Returns what to pass on, and whether the user asked to quit."""
        passed = bytearray()
        for byte in typed:
            if self.armed:
                self.armed = False
                if byte in b"xX":
                    return bytes(passed), True
                if byte != CTRL_A:
                    passed.append(CTRL_A)
                passed.append(byte)
            elif byte == CTRL_A:
                self.armed = True
            else:
                passed.append(byte)
        return bytes(passed), False


def relay(child: int, terminal: int) -> None:
    escape = Escape()
    while True:
        for source in select.select([0, terminal], [], [])[0]:
            try:
                data = os.read(source, 4096)
            except OSError:  # EIO: the child's side is closed
                data = b""
            if not data:
                return
            if source == terminal:
                os.write(1, data)
                continue
            data, leave = escape.feed(data)
            if leave:
                os.kill(child, signal.SIGTERM)
            os.write(terminal, data)


def main() -> int:
    child, terminal = pty.fork()
    if child == 0:
        os.execvp(sys.argv[1], sys.argv[1:])
    saved = termios.tcgetattr(0)
    signal.signal(signal.SIGTERM, lambda *_: os.kill(child, signal.SIGTERM))
    try:
        size = fcntl.ioctl(0, termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
        tty.setraw(0)
        relay(child, terminal)
    finally:
        termios.tcsetattr(0, termios.TCSAFLUSH, saved)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    return code if code >= 0 else 128 - code  # a signal, as shells write it


if __name__ == "__main__":
    sys.exit(main())
