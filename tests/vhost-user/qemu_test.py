#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""QEMU's guests use our vhost-user daemons: qemu_test.py [--results FILE] BUILD [TEST]...

QEMU emulates everything, so no KVM is needed; the guest is the lab's (Debian's kernel, busybox). Each
test says `ok NAME` or `failed NAME: why`; the exit status is that of all. With --results, tests/summary.py
can count them. `qemu_test.py --list` names the tests. Root is needed for the network's, as it makes a tap.
"""
import argparse
import hashlib
import json
import os
import pathlib
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
LAB = TOP / "tests/lab/lab"
BOOT_TIMEOUT = 400
MIB = 1 << 20


class Failure(Exception):
    pass


def check(condition, what):
    if not condition:
        raise Failure(what)


def wait_until(done, what, timeout=120):
    """Until something is so that another process, or thread, does."""
    end = time.monotonic() + timeout
    while not done():
        check(time.monotonic() < end, f"{what}: not in {timeout} s")
        time.sleep(0.05)


def lab_path(name):
    return subprocess.run([LAB, "path", name], check=True, capture_output=True, text=True).stdout.strip()


class Daemon:
    """One of our programs, which listens in `folder`; `label` tells it from others of its kind."""

    def __init__(self, build, folder, name, *options, label="", prefix=(), **popen):
        self.path = folder / f"{name}{label}.sock"
        program = build / "examples/vhost-user" / f"vhost-user-{name}"
        self.command = [*prefix, program, f"--socket-path={self.path}", *options]
        self.popen = popen
        self.start()

    def start(self):
        self.process = subprocess.Popen(self.command, **self.popen)
        wait_until(lambda: self.path.exists() or self.process.poll() is not None, f"{self.path}")
        check(self.process.poll() is None, f"{self.command[0]} ended at once")

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.path.unlink()  # so that start() waits for the next one

    def end(self):
        """Its exit status after SIGTERM."""
        self.process.terminate()
        return self.process.wait(timeout=120)


class Guest:
    """A QEMU that runs `script` in its guest; what that prints is in `output` in the end.

    `boot` is its kernel and initramfs where it is not the lab's guest.
    """

    def __init__(self, folder, script, devices, modules, files=(), cpus=1, boot=None, append=""):
        kernel, tools = boot or (lab_path("vmlinuz"), lab_path("l2_virtio"))
        tree = folder / "tree"
        tree.mkdir()
        (tree / "script").write_text(script)
        for file in files:
            (tree / file.name).write_bytes(file.read_bytes())
            (tree / file.name).chmod(0o755)
        overlay = subprocess.run("find . | cpio --quiet -o -H newc", shell=True, cwd=tree, check=True,
                                 capture_output=True).stdout
        initrd = folder / "initrd"
        initrd.write_bytes(pathlib.Path(tools).read_bytes() + overlay)
        words = "vmm.test=script modules=" + ",".join(["virtio_pci", *modules]) + append
        self.launch(folder, kernel, initrd, words, devices, cpus=cpus)

    def launch(self, folder, kernel, initrd, words, devices, cpus=1, memory="256M", keys=subprocess.DEVNULL):
        """Starts QEMU; `keys` is what is typed at the serial port."""
        command = ["qemu-system-x86_64", "-M", "q35,memory-backend=ram", "-accel", "tcg", "-cpu", "max",
                   "-smp", str(cpus), "-m", memory, "-object",
                   f"memory-backend-memfd,id=ram,size={memory},share=on", "-nodefaults", "-no-user-config",
                   "-display", "none", "-serial", "stdio", "-no-reboot", "-kernel", kernel,
                   "-initrd", str(initrd), "-append", f"console=ttyS0 panic=-1 no_timer_check quiet {words}"]
        self.log = open(folder / "serial", "w+b")
        self.process = subprocess.Popen(command + devices, stdin=keys, stdout=self.log, stderr=subprocess.STDOUT)

    def text(self):
        return pathlib.Path(self.log.name).read_text(errors="replace").replace("\r", "")

    def wait_for(self, line, timeout=BOOT_TIMEOUT):
        end = time.monotonic() + timeout
        while True:
            ended = self.process.poll() is not None  # before its last words are read
            if line in self.text():
                return
            check(time.monotonic() < end, f"no {line!r} from the guest in {timeout} s; {self.last_words()}")
            check(not ended, f"no {line!r} from the guest, which has ended; {self.last_words()}")
            time.sleep(0.05)

    def last_words(self):
        return "the last lines are " + " | ".join(self.text().splitlines()[-8:])

    def finish(self, timeout=BOOT_TIMEOUT):
        try:
            self.process.wait(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise Failure("the guest does not end; " + self.last_words()) from None
        check("guest: script 0" in self.text(), "the guest's script failed; " + self.last_words())
        return self.text()

    def kill(self):
        self.process.kill()
        self.process.wait()


class Program:
    """A program of the host's, without a word."""

    def __init__(self, command, **popen):
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, **popen)

    def kill(self):
        self.process.kill()
        self.process.wait()


def socket_device(name, path, device, reconnect=False):
    return ["-chardev", f"socket,id={name},path={path}" + (",reconnect=1" if reconnect else ""),
            "-device", f"{device},chardev={name}"]


def sum_of(data):
    return hashlib.md5(data).hexdigest()


class Bench:
    """What a test has: a folder, daemons and guests, all gone at its end."""

    def __init__(self, build, folder):
        self.build = build
        self.folder = folder
        self.things = []

    def daemon(self, *args, **options):
        return self.add(Daemon(self.build, self.folder, *args, **options))

    def guest(self, *args, **options):
        return self.add(Guest(self.folder, *args, **options))

    def program(self, *command, **popen):
        """One of the host's, in the background."""
        return self.add(Program(command, **popen))

    def add(self, thing):
        self.things.append(thing)
        return thing

    def close(self):
        for thing in reversed(self.things):
            if thing.process.poll() is None:
                thing.kill()


DISK_SCRIPT = """
set -e
dev=/dev/vda
echo "size $(cat /sys/block/vda/size) serial $(cat /sys/block/vda/serial)"
echo "read $(dd if=$dev bs=1M count=16 2>/dev/null | md5sum)"
dd if=$dev of=$dev bs=1M count=8 seek=32 conv=fsync,notrunc 2>/dev/null
dd if=/dev/zero of=$dev bs=4096 count=3 seek=12000 conv=fsync,notrunc 2>/dev/null
echo 3 >/proc/sys/vm/drop_caches
echo "copy $(dd if=$dev bs=1M count=8 skip=32 2>/dev/null | md5sum)"
echo "cache $(cat /sys/block/vda/cache_type)"
dmesg | grep -i 'virtio.*\\(error\\|bogus\\|not a head\\)' && exit 1
true
"""


def check_disk(bench, image, read, options=(), device_options="", devices=(), script=DISK_SCRIPT, append=""):
    """What the guest printed, when all was well."""
    daemon = bench.daemon("blk", f"--blk-file={image}", "--serial=disk-7", *options)
    disk = socket_device("c0", daemon.path, "vhost-user-blk-pci" + device_options)
    text = bench.guest(script, [*devices, *disk], ["virtio_blk"], append=append).finish()
    check(daemon.process.poll() is None, "the daemon lives on")
    check(daemon.end() == 0, "the daemon's exit status")
    check(not daemon.path.exists(), "the daemon removes its socket")
    before = read()  # the image is not locked any more
    check(f"size {64 * MIB // 512} serial disk-7" in text, "the disk's size or serial")
    check(f"read {sum_of(before[:16 * MIB])}" in text, "what the guest read")
    check(f"copy {sum_of(before[:8 * MIB])}" in text, "what the guest wrote and read")
    check("cache write back" in text, "the cache mode")
    check(before[32 * MIB:40 * MIB] == before[:8 * MIB], "what the guest copied, on the host")
    check(before[12000 * 4096:12003 * 4096] == bytes(3 * 4096), "the zeroes, on the host")
    return text


def test_blk(bench):
    """A raw disk: read, written and flushed by the guest."""
    image = bench.folder / "disk.raw"
    image.write_bytes(random.randbytes(64 * MIB))
    check_disk(bench, image, image.read_bytes, ["--format=raw"])


def test_blk_packed(bench):
    """The same with packed rings and several queues."""
    image = bench.folder / "disk.raw"
    image.write_bytes(random.randbytes(64 * MIB))
    check_disk(bench, image, image.read_bytes, ["--format=raw", "--num-queues=2"], ",packed=on,num-queues=2")


def check_converted(bench, image_format, *options):
    """A disk of a format that qemu-img makes, and reads afterwards."""
    raw, image, after = (bench.folder / name for name in ("raw", "disk", "after"))
    raw.write_bytes(random.randbytes(64 * MIB))
    subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", image_format, *options, raw, image], check=True)

    def read():
        subprocess.run(["qemu-img", "convert", "-f", image_format, "-O", "raw", image, after], check=True)
        return after.read_bytes()

    check_disk(bench, image, read, [f"--format={image_format}"])


def test_blk_qcow2(bench):
    """A qcow2 disk."""
    check_converted(bench, "qcow2")


def test_blk_vhdx(bench):
    """A VHDX disk of fixed size."""
    check_converted(bench, "vhdx", "-o", "subformat=fixed")


IOMMU_SCRIPT = """
dmesg | grep -c 'DMAR: .*fault addr' >/tmp/faults # of the rings that the firmware has left
""" + DISK_SCRIPT + """
function=$(readlink -f /sys/block/vda/device/..)
echo "domain $(cat $function/iommu_group/type)"
# Maps and unmaps as many addresses as it can; each job has its own part of the disk.
for job in 1 2 3 4; do
  (
    dd if=/dev/urandom of=/tmp/$job bs=1M count=2 2>/dev/null
    for round in 1 2 3; do
      dd if=/tmp/$job of=$dev bs=64k seek=$((800 + job * 32)) conv=fsync,notrunc 2>/dev/null
      echo 3 >/proc/sys/vm/drop_caches
      dd if=$dev bs=64k skip=$((800 + job * 32)) count=32 2>/dev/null | cmp - /tmp/$job && echo "verified"
    done
  ) &
done
wait
[ "$(dmesg | grep -c 'DMAR: .*fault addr')" = "$(cat /tmp/faults)" ]
"""


def check_iommu(bench, device_options=""):
    image = bench.folder / "disk.raw"
    image.write_bytes(random.randbytes(64 * MIB))
    text = check_disk(bench, image, image.read_bytes, ["--format=raw"], ",disable-legacy=on,iommu_platform=on,ats=on" + device_options,
                      ["-device", "intel-iommu,intremap=off,device-iotlb=on"], IOMMU_SCRIPT,
                      " intel_iommu=on iommu.passthrough=0 iommu.strict=1")
    check("domain DMA" in text, "the guest's IOMMU translates the disk's addresses")
    check(text.count("verified") == 12, "what four jobs wrote and read")


def test_blk_iommu(bench):
    """The disk is behind an IOMMU: each address has to be asked for, and is taken away again."""
    check_iommu(bench)


def test_blk_iommu_packed(bench):
    """The same with a packed ring."""
    check_iommu(bench, ",packed=on")


def test_blk_read_only(bench):
    """The guest cannot write to a read-only disk."""
    image = bench.folder / "disk.raw"
    data = random.randbytes(8 * MIB)
    image.write_bytes(data)
    daemon = bench.daemon("blk", f"--blk-file={image}", "--format=raw", "--read-only")
    guest = bench.guest("""
echo "ro $(cat /sys/block/vda/ro)"
echo "read $(md5sum </dev/vda)"
dd if=/dev/zero of=/dev/vda bs=512 count=1 2>/dev/null && exit 1
true
""", socket_device("c0", daemon.path, "vhost-user-blk-pci"), ["virtio_blk"])
    text = guest.finish()
    check("ro 1" in text and f"read {sum_of(data)}" in text, "what the guest saw")
    check(image.read_bytes() == data, "the image is as before")


def connect_to_guest(path, port):
    """Tries until the guest listens."""
    for _ in range(1000):
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(60)
        client.connect(path)
        client.sendall(b"CONNECT %d\n" % port)
        reply = client.makefile("rb")
        if reply.readline().startswith(b"OK "):
            return client, reply
        client.close()
        time.sleep(0.1)
    check(False, "the host's connection to the guest")


def say_to_guest(path, port, data):
    client, reply = connect_to_guest(path, port)
    with client:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        return reply.read()


def test_rng(bench):
    """Entropy, of which each byte is known."""
    daemon = bench.daemon("rng", "--filename=/dev/zero")
    guest = bench.guest("""
echo "rng $(cat /sys/class/misc/hw_random/rng_current)"
echo "bytes $(dd if=/dev/hwrng bs=16 count=64 2>/dev/null | tail -c 64 | md5sum)"
""", socket_device("c0", daemon.path, "vhost-user-rng-pci"), ["virtio-rng"])
    text = guest.finish()
    check("rng virtio_rng.0" in text and f"bytes {sum_of(bytes(64))}" in text, "the guest's random bytes")
    check(daemon.end() == 0, "the daemon's exit status")


def test_vsock(bench):
    """Sockets, from the guest and to the guest."""
    daemon = bench.daemon("vsock", "--guest-cid=5", f"--uds-path={bench.folder}/v")
    big = random.randbytes(2 * MIB)
    got = {}

    def listen():
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(f"{bench.folder}/v_1000")
        listener.listen()
        connection, _ = listener.accept()
        data = b""
        while part := connection.recv(65536):
            data += part
        got["guest"] = data
        connection.sendall(big)
        connection.close()

    threading.Thread(target=listen, daemon=True).start()
    guest = bench.guest("""
set -e
echo "from guest" | /vsock-peer cat vsock:2:1000 >/big
echo "vsock $(md5sum </big)"
/vsock-peer echo vsock:-1:2000 2>>/listening &
/vsock-peer drain vsock:-1:2001 2>>/listening >/dev/null &
last=$!
until [ "$(grep -c listening /listening)" = 2 ]; do sleep 0.1; done
echo ready
wait $last
""", socket_device("c0", daemon.path, "vhost-user-vsock-pci"), ["vmw_vsock_virtio_transport"],
                        [bench.build / "tests/lab/vsock-peer"])
    guest.wait_for("ready")
    check(say_to_guest(f"{bench.folder}/v", 2000, b"hello guest") == b"hello guest", "the guest's echo")
    say_to_guest(f"{bench.folder}/v", 2001, b"end")
    text = guest.finish()
    check(f"vsock {sum_of(big)}" in text and got.get("guest") == b"from guest\n", "the guest's connection to the host")
    check(daemon.end() == 0, "the daemon's exit status")


def test_net(bench):
    """A tap."""
    daemon = bench.daemon("net", "--tap=vmtap0", "--ip=10.7.0.1", "--mask=255.255.255.0", prefix=["unshare", "-n"])
    guest = bench.guest("""
set -e
ip link set eth0 up
ip addr add 10.7.0.2/24 dev eth0
ping -c 3 -s 1400 -W 20 10.7.0.1 >/ping && echo "net pings"
""", net_device(0, daemon.path), ["virtio_net"])
    check("net pings" in guest.finish(), "the guest's pings")


def net_device(number, path, options=""):
    """A network card that the daemon at `path` serves, with an address that ends with the number."""
    # vectors=0: without KVM QEMU 7.2 dereferences a null pointer when the guest masks an MSI-X vector of this device.
    return ["-chardev", f"socket,id=c{number},path={path}", "-netdev", f"vhost-user,id=n{number},chardev=c{number}",
            "-device", f"virtio-net-pci,netdev=n{number},vectors=0,romfile=,mac=52:54:00:12:34:{number:02x}{options}"]


def user_network(bench, *options, **more):
    """A daemon that starts the build's vmm-net-user."""
    path = f"{bench.build}/examples/vmm-net-user:{os.environ['PATH']}"
    return bench.daemon("net", "--user", *options, env={**os.environ, "PATH": path}, **more)


class Server:
    """Sends `data` to each connection, takes what comes until its end, and answers with how much that was."""

    def __init__(self, data):
        self.data = data
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.got = []
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            connection, _ = self.listener.accept()
            with connection:
                # Both ways at once: nc does not read while it waits to write.
                sender = threading.Thread(target=connection.sendall, args=[self.data])
                sender.start()
                begin, got = time.monotonic(), hashlib.md5()
                count = 0
                while part := connection.recv(1 << 20):
                    got.update(part)
                    count += len(part)
                sender.join()
                self.got.append((count, got.hexdigest(), time.monotonic() - begin))


NET_USER_SCRIPT = """
set -e
cat >/tmp/dhcp <<'END'
#!/bin/sh
[ "$1" = bound ] || exit 0
ip addr add "$ip/24" dev "$interface"
ip route add default via "$router"
echo "leased $ip, router $router, dns $dns"
END
chmod +x /tmp/dhcp
ip link set eth0 up
udhcpc -i eth0 -t 30 -n -q -s /tmp/dhcp
nc 10.0.2.2 @PORT@ </dev/null | md5sum | sed 's/^/down /'
seq 1 2000000 | head -c 8388608 >/tmp/up
md5sum </tmp/up | sed 's/^/up /'
nc 10.0.2.2 @PORT@ </tmp/up >/dev/null
echo serving
nc -l -p 80 </tmp/up
sleep 1 # what is on its way
"""


def test_net_user(bench):
    """A user-mode network: DHCP, TCP to the host and from it, and a large upload at speed."""
    server = Server(random.randbytes(8 * MIB))
    port = free_port()
    daemon = user_network(bench, f"--hostfwd=tcp:{port}:80")
    guest = bench.guest(NET_USER_SCRIPT.replace("@PORT@", str(server.port)), net_device(0, daemon.path),
                        ["virtio_net"])
    guest.wait_for("serving")
    forwarded = read_from_port(port)
    text = guest.finish()
    check("leased 10.0.2.15, router 10.0.2.2, dns 10.0.2.3" in text, "the guest's address by DHCP")
    check(f"down {sum_of(server.data)}" in text, "what the guest got from the host")
    wait_until(lambda: len(server.got) == 2, "the guest's connections")
    count, got, seconds = server.got[-1]
    check(count == 8 * MIB and f"up {got}" in text, "what the host got from the guest")
    check(sum_of(forwarded) == got, "what came through the forwarded port")
    print(f"   upload {count / seconds / 1e6:.1f} MB/s")
    check(daemon.end() == 0, "the daemon's exit status")


def read_from_port(port):
    """What a connection of the host's brings; tries until there is somebody."""
    for _ in range(1000):
        with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
            try:
                if data := client.makefile("rb").read():
                    return data
            except ConnectionError:
                pass
        time.sleep(0.1)
    raise Failure(f"nothing comes from port {port}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def checksum(data):
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def dhcp_kind(frame):
    """The kind of a DHCP message to a server; None for another frame."""
    if frame[12:14] != b"\x08\x00" or frame[23:24] != b"\x11" or frame[36:38] != b"\x00\x43":
        return None
    options = frame[frame.index(b"\x63\x82\x53\x63") + 4:]
    return options[options.index(b"\x35\x01") + 2]


def dhcp_offer(frame):
    server, client = bytes([10, 0, 2, 2]), bytes([10, 0, 2, 15])
    xid, mac = frame[46:50], frame[70:76]
    body = struct.pack(">BBBB4sHH4s4s4s4s16s192x", 2, 1, 6, 0, xid, 0, 0x8000, bytes(4), client, server, bytes(4), mac)
    body += bytes([0x63, 0x82, 0x53, 0x63, 53, 1, 2, 54, 4, *server, 51, 4, 0, 0, 14, 16, 1, 4, 255, 255, 255, 0, 255])
    body += bytes(len(body) % 2)
    udp = struct.pack(">HHHH", 67, 68, 8 + len(body), 0) + body
    ip = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0, server, b"\xff" * 4)
    ip = ip[:10] + struct.pack(">H", checksum(ip)) + ip[12:]
    return b"\xff" * 6 + b"\x52\x55\x0a\x00\x02\x02" + b"\x08\x00" + ip + udp


def test_firmware_net(bench):
    """Firmware looks for a server in the network, and answers to its offer."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    daemon = bench.daemon("net", f"--socket-fd={theirs.fileno()}", pass_fds=[theirs.fileno()])
    qemu = subprocess.Popen(
        ["qemu-system-x86_64", "-M", "q35,memory-backend=ram", "-accel", "tcg", "-m", "64M", "-object",
         "memory-backend-memfd,id=ram,size=64M,share=on", "-nodefaults", "-no-user-config", "-display", "none",
         "-chardev", f"socket,id=c0,path={daemon.path}", "-netdev", "vhost-user,id=n0,chardev=c0",
         "-device", "virtio-net-pci,netdev=n0,bootindex=0"], stdin=subprocess.DEVNULL)
    try:
        ours.settimeout(BOOT_TIMEOUT)
        while (kind := dhcp_kind(frame := ours.recv(2000))) != 3:  # a request
            if kind == 1:  # a discovery
                ours.send(dhcp_offer(frame))
    finally:
        qemu.kill()
        qemu.wait()
    check(daemon.end() == 0, "the daemon's exit status")


JOBS = 6

RECOVERY_SCRIPT = """
job() {
  base=$(($1 * 2000))
  i=0
  while [ ! -e /tmp/stop ]; do
    dd if=/dev/urandom of=/tmp/d$1 bs=4096 count=64 2>/dev/null
    dd if=/tmp/d$1 of=/dev/vda bs=4096 seek=$base count=64 conv=fsync,notrunc 2>/dev/null || echo "bad write $1"
    echo 3 >/proc/sys/vm/drop_caches
    dd if=/dev/vda of=/tmp/r$1 bs=4096 skip=$base count=64 2>/dev/null || echo "bad read $1"
    cmp /tmp/d$1 /tmp/r$1 || echo "bad data $1"
    echo turn
    i=$((i + 1))
  done
  echo "job $1 did $i"
}
for n in 0 1 2 3 4 5; do job $n & done
echo working
while ! dd if=/dev/vda bs=512 skip=130000 count=1 2>/dev/null | grep -q STOP; do
  sleep 1
  echo 3 >/proc/sys/vm/drop_caches
done
touch /tmp/stop
wait
dmesg | grep -i 'virtio.*\\(error\\|bogus\\|not a head\\)\\|I/O error\\|blocked for more' && exit 1
true
"""


def wait_for_turns(guest):
    """Until the jobs of RECOVERY_SCRIPT have written and read, each but for what it had already done."""
    before = guest.text().count("turn")
    wait_until(lambda: guest.text().count("turn") > before + JOBS or guest.process.poll() is not None,
               "the guest's disk works", BOOT_TIMEOUT)


def finish_jobs(guest, image):
    """Ends the jobs of RECOVERY_SCRIPT, and asks how they did."""
    wait_for_turns(guest)
    with open(image, "r+b") as file:
        file.seek(130000 * 512)
        file.write(b"STOP")
    text = guest.finish()
    check("bad" not in text, "a request was lost, doubled or wrong: " + str(re.findall("bad.*", text)[:3]))
    jobs = [int(n) for n in re.findall(r"job \d did (\d+)", text)]
    check(len(jobs) == JOBS and min(jobs) > 0, f"each job did something: {jobs}")


def recover(bench, device_options="", kills=10):
    image = bench.folder / "disk.raw"
    image.write_bytes(bytes(64 * MIB))
    daemon = bench.daemon("blk", f"--blk-file={image}", "--format=raw", "--num-queues=1")
    guest = bench.guest(RECOVERY_SCRIPT,
                        socket_device("c0", daemon.path, "vhost-user-blk-pci" + device_options, reconnect=True),
                        ["virtio_blk"])
    guest.wait_for("working")
    for _ in range(kills):
        # QEMU tries once a second, and does not try again to start a device when the daemon dies during the handshake.
        wait_for_turns(guest)
        time.sleep(random.uniform(0, 1.5))
        check(guest.process.poll() is None, "QEMU has ended")
        daemon.kill()
        time.sleep(random.uniform(0, 0.5))
        daemon.start()
    finish_jobs(guest, image)


def test_recovery(bench):
    """The daemon is killed ten times under load: the guest loses nothing, and nothing is done twice."""
    recover(bench)


def test_recovery_packed(bench):
    """The same with a packed ring."""
    recover(bench, ",packed=on", kills=5)


def test_stop(bench):
    """The VM is stopped and goes on, again and again, with requests in flight."""
    image = bench.folder / "disk.raw"
    image.write_bytes(bytes(64 * MIB))
    daemon = bench.daemon("blk", f"--blk-file={image}", "--format=raw")
    monitor = bench.folder / "monitor"
    guest = bench.guest(RECOVERY_SCRIPT, socket_device("c0", daemon.path, "vhost-user-blk-pci")
                        + ["-qmp", f"unix:{monitor},server=on,wait=off"], ["virtio_blk"])
    guest.wait_for("working")
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(BOOT_TIMEOUT)
        client.connect(str(monitor))
        replies = client.makefile("r")

        def execute(command):
            client.sendall(json.dumps({"execute": command}).encode())
            while "return" not in (reply := json.loads(replies.readline())):
                check("error" not in reply, f"{command}: {reply}")

        replies.readline()
        execute("qmp_capabilities")
        for _ in range(20):
            time.sleep(random.uniform(0.1, 0.5))
            execute("stop")
            time.sleep(random.uniform(0, 0.2))
            execute("cont")
    finish_jobs(guest, image)


def test_conventions(bench):
    """The command line, as QEMU's conventions for back-end programs have it."""
    for name, kind in (("blk", "block"), ("rng", "rng"), ("net", "net"), ("vsock", "vsock"), ("console", "console"),
                       ("i2c", "i2c"), ("gpio", "gpio")):
        program = bench.build / "examples/vhost-user" / f"vhost-user-{name}"
        told = subprocess.run([program, "--print-capabilities", "--socket-path", "/nowhere/at/all"],
                              check=True, capture_output=True, text=True).stdout
        check(json.loads(told)["type"] == kind, f"{name}: capabilities")
        check(subprocess.run([program], capture_output=True).returncode == 2, f"{name}: no socket")
        check(subprocess.run([program, "--fd=3", "--socket-path=/x"], capture_output=True).returncode == 2,
              f"{name}: two sockets")
        check(subprocess.run([program, "--unknown"], capture_output=True).returncode == 2, f"{name}: unknown option")
        check(subprocess.run([program, "--help"], capture_output=True).returncode == 0, f"{name}: help")
    program = bench.build / "examples/vhost-user/vhost-user-rng"
    ours, theirs = socket.socketpair()
    daemon = subprocess.Popen([program, f"--fd={theirs.fileno()}"], pass_fds=[theirs.fileno()])
    theirs.close()
    ours.settimeout(120)
    ours.sendall(bytes([1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]))
    check(len(ours.recv(20, socket.MSG_WAITALL)) == 20, "an answer on --fd")
    ours.close()
    check(daemon.wait(timeout=120) == 0, "it ends with its front end")


def tests_of(module):
    return {name[5:].replace("_", "-"): function for name, function in module.items() if name.startswith("test_")}


def main(tests, peer="QEMU"):
    """`peer` is what the results name our programs with."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--results", type=pathlib.Path, default=pathlib.Path(os.devnull))
    parser.add_argument("--again", action="store_true", help="give what fails a second try, at the end")
    parser.add_argument("build", type=pathlib.Path, nargs="?")
    parser.add_argument("tests", nargs="*")
    arguments = parser.parse_args()
    if arguments.list or arguments.build is None:
        for name, function in tests.items():
            print(f"{name:16} {function.__doc__}")
        return 0
    with open(arguments.results, "w", encoding="utf-8") as results:
        chosen = {name: tests[name] for name in arguments.tests or tests}
        return run(peer, arguments.build.resolve(), chosen, results, arguments.again)


def run(peer, build, tests, results, again):
    """Writes what summary.py counts."""
    failed = {}
    for name, test in tests.items():
        entry = attempt(peer, build, name, test)
        if entry["lab"] == "ok" or not again:
            results.write(json.dumps(entry) + "\n")
        if entry["lab"] != "ok":
            failed[name] = test
    for name, test in list(failed.items()) if again else []:
        entry = attempt(peer, build, name, test)
        results.write(json.dumps(entry) + "\n")
        if entry["lab"] == "ok":
            del failed[name]
            results.write(json.dumps({"lab": "ok", "name": entry["name"], "again": True}) + "\n")
    return 1 if failed else 0


def attempt(peer, build, name, test):
    entry = {"lab": "ok", "name": f"{peer} and vhost-user: {name}"}
    with tempfile.TemporaryDirectory(prefix="vhost-user-") as folder:
        bench = Bench(build, pathlib.Path(folder))
        try:
            test(bench)
            print(f"ok {name}", flush=True)
        except (Failure, OSError, subprocess.SubprocessError) as error:
            entry |= {"lab": "not ok", "reason": str(error)}
            print(f"failed {name}: {error}", flush=True)
            serial = pathlib.Path(folder) / "serial"
            if serial.exists():
                lines = serial.read_text(errors="replace").splitlines()
                lines = [line for line in lines if not line.startswith("qemu-system-x86_64: ")][-60:]
                print("\n".join(lines), flush=True)
        finally:
            bench.close()
    return entry


if __name__ == "__main__":
    sys.exit(main(tests_of(globals())))
