#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""DPDK as the other side of vhost-user: dpdk_test.py [--results FILE] BUILD [TEST]...

Debian's dpdk-testpmd sends back what comes to it, with the addresses exchanged: as a front end
(virtio-user) it drives vhost-user-net, as a back end (net_vhost) it serves our front end, which
vhost-user-net-frames drives as a guest would. Nothing is installed, no huge pages are needed.
"""
import os
import pathlib
import socket
import subprocess
import sys

from qemu_test import check, lab_path, main, tests_of, wait_until

PATIENCE = 60
ROUND = 40  # frames


class TestPmd:
    """testpmd with one device, in a process of its own; it starts to send frames back at once."""

    def __init__(self, folder, device, queues=1, label=""):
        root = pathlib.Path(lab_path("dpdk"))
        libraries = next(root.glob("usr/lib/*/librte_eal.so.23")).parent
        drivers = libraries / "dpdk/pmds-23.0"
        names = [f"librte_{name}.so.23" for name in ("mempool_ring", "net_virtio", "net_vhost")]
        cpus = ",".join(str(cpu) for cpu in sorted(os.sched_getaffinity(0)))
        command = [root / "usr/bin/dpdk-testpmd", f"--lcores=(0,1)@({cpus})", "--no-huge", "--no-shconf",
                   "--no-telemetry", "--no-pci", "-m", "64", f"--vdev={device}", "--", "-i", "--auto-start",
                   "--disable-link-check", "--total-num-mbufs=4096", "--forward-mode=macswap",
                   f"--rxq={queues}", f"--txq={queues}"]
        # Drivers are loaded so, as from a folder that others may write to it loads none.
        environment = os.environ | {"LD_LIBRARY_PATH": f"{libraries}:{drivers}",
                                    "LD_PRELOAD": ":".join(str(drivers / name) for name in names)}
        self.log = folder / f"testpmd{label}.log"
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=log,
                                            stderr=subprocess.STDOUT, text=True)

    def text(self):
        return self.log.read_text(errors="replace")

    def say(self, *lines):
        self.process.stdin.write("".join(f"{line}\n" for line in lines))
        self.process.stdin.flush()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def end(self):
        self.say("quit")
        check(self.process.wait(timeout=PATIENCE) == 0, f"testpmd's exit status; {self.text()[-400:]!r}")


class Wire:
    """What the daemon's frames go over: `ours` is one end, and `theirs` the daemon's."""

    def __init__(self):
        self.ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ours.settimeout(PATIENCE)
        self.number = 0

    def echo(self, count, size):
        """Frames, one after the other, each of which comes back; beside them only what first() sent."""
        for _ in range(count):
            self.number += 1
            frame = bytes.fromhex("525400000001525400000002") + b"\x88\xb5" + self.number.to_bytes(4, "big")
            frame = frame.ljust(size, bytes([self.number % 256]))
            self.ours.send(frame)
            back = bytes(14)
            while back[:14] == bytes(14):
                back = self.ours.recv(4096)
            check(back == frame[6:12] + frame[:6] + frame[12:], f"frame {self.number} of {size} bytes")

    def first(self):
        """Until a frame comes back; of a back end that is not ready yet some are lost."""
        self.ours.settimeout(1)
        for _ in range(PATIENCE):
            self.ours.send(bytes(60))
            try:
                while self.ours.recv(4096):
                    self.ours.settimeout(0.2)
            except TimeoutError:
                if self.ours.gettimeout() < 1:
                    break
        else:
            check(False, "no frame comes back")
        self.ours.settimeout(PATIENCE)

    def sizes(self):
        for size in (60, 512, 1514):
            self.echo(ROUND, size)


def net_daemon(bench, wire, label="", **options):
    return bench.daemon("net", f"--socket-fd={wire.theirs.fileno()}", label=label,
                        pass_fds=[wire.theirs.fileno()], **options)


def check_front_end(bench, label, *options):
    wire = Wire()
    daemon = net_daemon(bench, wire, label)
    device = ",".join(["net_virtio_user0", f"path={daemon.path}", *options])
    for life in range(2):
        pmd = bench.add(TestPmd(bench.folder, device, label=f"{label}{life}"))
        wire.first()
        wire.sizes()
        if life == 0:
            pmd.kill()  # the next one is served as the first
    pmd.say("stop", "port stop 0", "port start 0", "start")
    wire.first()
    wire.echo(ROUND, 200)
    pmd.end()
    check(daemon.end() == 0, "the daemon's exit status")


def test_front_end(bench):
    """virtio-user drives vhost-user-net by split rings, is killed, stops its port and starts it again."""
    check_front_end(bench, "", "queue_size=1024")


def test_front_end_packed(bench):
    """The same with packed rings, and without mergeable buffers."""
    check_front_end(bench, "", "packed_vq=1", "mrg_rxbuf=0")


def check_server(bench, *options):
    path = bench.folder / "server.sock"
    pmd = bench.add(TestPmd(bench.folder, ",".join(["net_virtio_user0", f"path={path}", "server=1", *options])))
    program = bench.build / "examples/vhost-user/vhost-user-net"
    for life in range(3):
        wire = Wire()
        with socket.socket(socket.AF_UNIX) as connection:
            def connected():
                try:
                    connection.connect(str(path))
                    return True
                except OSError:
                    return False
            wait_until(connected, "a connection to testpmd", PATIENCE)
            fds = [connection.fileno(), wire.theirs.fileno()]
            daemon = bench.program(program, f"--fd={fds[0]}", f"--socket-fd={fds[1]}", pass_fds=fds)
        wire.first()
        wire.sizes()
        if life < 2:
            daemon.kill()
    pmd.end()
    check(daemon.process.wait(timeout=PATIENCE) == 0, "the daemon's exit status")


def test_front_end_server(bench):
    """virtio-user has daemons connect, one after another that was killed, and goes on with each."""
    check_server(bench)


def test_front_end_server_packed(bench):
    """The same with packed rings."""
    check_server(bench, "packed_vq=1")


class Frames:
    """Our front end, with the driver."""

    def __init__(self, bench, *words):
        program = bench.build / "tests/vhost-user/vhost-user-net-frames"
        self.process = subprocess.Popen([program, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        bench.add(self)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def answer(self):
        return self.process.stdout.readline().strip()

    def ask(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        return self.answer()

    def first(self):
        wait_until(lambda: self.ask("try 60") == "try 1", "a frame from testpmd", PATIENCE)

    def sizes(self):
        for size in (60, 512, 1514):
            told = self.ask(f"echo {ROUND * 4} {size}")
            check(told == f"echo {ROUND * 4}", f"{ROUND * 4} frames of {size} bytes: {told!r}")

    def end(self):
        self.process.stdin.close()
        check(self.process.wait(timeout=PATIENCE) == 0, "the driver's exit status")


def check_back_end(bench, pairs, *words):
    path = bench.folder / "vhost.sock"
    server = "server" in words
    device = f"net_vhost0,iface={path},queues={pairs}" + (",client=1" if server else "")
    frames = Frames(bench, path, str(pairs), *words)
    pmd = bench.add(TestPmd(bench.folder, device, pairs))
    check(frames.answer() == "ready", "a back end that has what it takes")
    frames.first()
    frames.sizes()
    for order in ("restart", "grow"):
        check(frames.ask(order) == f"{order} 1", order)
        frames.first()
        frames.sizes()
    pmd.kill()
    if not server:
        path.unlink()
    pmd = bench.add(TestPmd(bench.folder, device, pairs, label="2"))
    if "packed" in words:  # as the back end kept no account of what was in flight
        wait_until(lambda: frames.ask("restart") == "restart 1", "a device that starts again", PATIENCE)
    frames.first()
    frames.sizes()
    frames.end()
    pmd.end()


def test_back_end(bench):
    """net_vhost serves our front end: split rings, resets, new memory, a back end that is killed."""
    check_back_end(bench, 1)


def test_back_end_packed(bench):
    """The same with packed rings, and two pairs of them."""
    check_back_end(bench, 2, "packed")


def test_back_end_client(bench):
    """The same with a back end that connects."""
    check_back_end(bench, 2, "server")


if __name__ == "__main__":
    sys.exit(main(tests_of(globals()), "DPDK"))
