#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Measures vhost-user-blk next to qemu-storage-daemon, with the same front end and the same image.

The front end is a program (blk_load.cc) that keeps requests of 4 KiB in flight at random places and
sleeps until an interrupt comes, so that the daemons are what differs. They are measured in turn,
each in a new process, several rounds; the best of them counts. Beside the requests a second stands
the processor time that the daemon took for one, with the kernel's part: on a busy machine it says
more. Ratios are of ours to the better one of QEMU's.
"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

IMAGE_MIB = 64
OURS = "vhost-user-blk"
ROWS = [f"{cache}-{kind}-4k-depth-{depth}" for cache in ("cached", "direct") for kind in ("read", "write")
        for depth in (1, 32)]


class Fail(Exception):
    """A message for the user; the program ends with status 1."""


def ours(build, image, socket, direct):
    return [build / "examples/vhost-user/vhost-user-blk", f"--socket-path={socket}", f"--blk-file={image}",
            "--format=raw", *(["--direct"] if direct else [])]


def qemu(image, socket, direct, aio):
    return ["qemu-storage-daemon", "--object", "iothread,id=t0", "--blockdev",
            f"driver=file,node-name=f0,filename={image},aio={aio},locking=off,cache.direct={'on' if direct else 'off'}",
            "--blockdev", "driver=raw,node-name=d0,file=f0", "--export",
            f"type=vhost-user-blk,id=e0,node-name=d0,addr.type=unix,addr.path={socket},writable=on,iothread=t0"]


def daemons(build, image, socket, direct):
    """{name: command}. Linux' own AIO is for direct I/O only."""
    engines = ["io_uring", "threads", *(["native"] if direct else [])]
    return {OURS: ours(build, image, socket, direct),
            **{f"qemu-{aio}": qemu(image, socket, direct, aio) for aio in engines}}


def processor_ns(pid):
    """What all threads of the process have used."""
    total = 0
    for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
        total += int(path.read_text().split()[0])
    return total


def measure(command, load, socket):
    """{"rate": requests a second, "cpu_us": of the daemon for one, "kicks", "interrupts": for one}."""
    socket.unlink(missing_ok=True)
    daemon = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL)
    try:
        for _ in range(500):
            if socket.exists() or daemon.poll() is not None:
                break
            time.sleep(0.01)
        if daemon.poll() is not None:
            raise Fail(f"{command[0]} ended at once")
        done = subprocess.run(list(map(str, load)), capture_output=True, text=True, check=False)
        used = processor_ns(daemon.pid)
    finally:
        daemon.terminate()
        try:
            daemon.wait(2)
        except subprocess.TimeoutExpired:  # QEMU's does not always end
            daemon.kill()
            daemon.wait()
    if done.returncode != 0:
        raise Fail(f"{command[0]}: {done.stderr.strip()}")
    requests, ns, kicks, interrupts = map(int, done.stdout.split())
    return {"rate": requests / ns * 1e9, "cpu_us": used / requests / 1e3, "kicks": kicks / requests,
            "interrupts": interrupts / requests}


def measure_row(row, options, folder):
    """{daemon: the best of its rounds}"""
    cache, kind, _, _, depth = row.split("-")
    image, socket = folder / "image", folder / "socket"
    load = [options.build / "tests/bench/vhost-user-blk-load", socket, depth, options.seconds, kind]
    best = {}
    for _ in range(options.rounds):
        for name, command in daemons(options.build, image, socket, cache == "direct").items():
            result = measure(command, load, socket)
            known = best.setdefault(name, result)
            best[name] = {key: (max if key == "rate" else min)(known[key], value) for key, value in result.items()}
    return best


def print_row(row, best):
    rate = max(result["rate"] for name, result in best.items() if name != OURS)
    cpu = min(result["cpu_us"] for name, result in best.items() if name != OURS)
    for name, result in best.items():
        ratios = f"{result['rate'] / rate:8.2f}x{cpu / result['cpu_us']:12.2f}x" if name == OURS else ""
        print(f"{row:<24}{name:<16}{result['rate']:>12,.0f}{result['cpu_us']:>10.2f}{result['kicks']:>8.2f}"
              f"{result['interrupts']:>8.2f}{ratios}", flush=True)


def parse_arguments():
    parser = argparse.ArgumentParser(prog="dev bench --vhost-user", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", metavar="RE", default="", help="only rows that match")
    parser.add_argument("--rounds", metavar="N", type=int, default=3, help="default 3")
    parser.add_argument("--seconds", metavar="N", type=int, default=2, help="of each measurement; default 2")
    parser.add_argument("--folder", metavar="DIR", help="where the image lies; default: that of temporary files")
    parser.add_argument("--json", metavar="FILE", type=pathlib.Path, help="write the rows as well")
    parser.add_argument("build", type=pathlib.Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def main():
    options = parse_arguments()
    rows = {}
    with tempfile.TemporaryDirectory(prefix="vhost-user-bench-", dir=options.folder) as name:
        folder = pathlib.Path(name)
        with open(folder / "image", "wb") as image:
            image.write(os.urandom(IMAGE_MIB << 20))
            os.fsync(image.fileno())
        print(f"{'row':<24}{'daemon':<16}{'a second':>12}{'CPU us':>10}{'kicks':>8}{'calls':>8}{'rate':>9}"
              f"{'less CPU':>13}")
        for row in filter(re.compile(options.rows).search, ROWS):
            rows[row] = measure_row(row, options, folder)
            print_row(row, rows[row])
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except Fail as failure:
        print(f"bench: {failure}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
