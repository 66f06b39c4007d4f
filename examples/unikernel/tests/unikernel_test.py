#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Runs a unikernel on this host's KVM, whatever kind that is: unikernel_test.py UNIKERNEL GUEST"""
import os
import pathlib
import subprocess
import sys
import tempfile

UNIKERNEL, GUEST = sys.argv[1:]
failed = 0


def check(name, good, why=""):
    global failed
    failed += not good
    print(f"{'ok' if good else 'not ok'} - {name}" + ("" if good else f" # {why}"))


def run(*words, text="", timeout=250):
    done = subprocess.run([UNIKERNEL, *words], input=text, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=timeout, check=False)
    return done.returncode, done.stdout, done.stderr


done = run()
check("a command line without a kernel is a mistake", done[0] == 2 and "usage:" in done[2], done)
done = run("/nonexistent")
check("a kernel that is not there is told", done[0] == 1 and "/nonexistent" in done[2], done)
with tempfile.TemporaryDirectory() as folder:
    cut = pathlib.Path(folder) / "cut"
    cut.write_bytes(pathlib.Path(GUEST).read_bytes()[:100])
    done = run(str(cut))
    check("half a kernel is refused", done[0] == 1 and str(cut) in done[2], done)
done = run("--memory", "1", GUEST)
check("too little memory is refused", done[0] == 1, done)
if not os.access("/dev/kvm", os.R_OK | os.W_OK):
    print("skip - no /dev/kvm here: the lab runs the rest")
    sys.exit(1 if failed else 0)
line = "command line: guest=me two virtio_mmio.device=4K@0x"
for memory in ((), ("--memory", "128")):
    done = run(*memory, GUEST, "guest=me", "two", text="stressed\n")
    check("the guest has its command line and its console, both ways, and ends",
          done[0] == 0 and done[1].startswith(line) and done[1].endswith("\ndesserts\n"), done)
done = run(GUEST, "guest=!")
check("a guest that crashes is told", done[0] == 3 and "crashed" in done[2], done)
sys.exit(1 if failed else 0)
