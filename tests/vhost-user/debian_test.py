#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""A Debian of QEMU lives on our vhost-user daemons: debian_test.py [--results FILE] BUILD [TEST]...

The guest is the lab's Debian (tests/lab/README.md) with its root on vhost-user-blk, emulated by QEMU without
KVM. Root and the host's iperf3 are needed for the tap. As qemu_test.py otherwise.
"""
import random
import re
import socket
import subprocess
import sys
import threading
import time

from qemu_test import (BOOT_TIMEOUT, MIB, Failure, Guest, check, connect_to_guest, free_port, lab_path, main,
                       net_device, say_to_guest, socket_device, sum_of, tests_of, user_network, wait_until)


class Debian(Guest):
    """Debian, at whose serial port somebody logs in and runs scripts from a disk."""

    def __init__(self, folder, devices):
        self.launch(folder, lab_path("vmlinuz"), lab_path("debian_initramfs"),
                    "root=/dev/vda systemd.show_status=0 TERM=dumb systemd.wants=ssh-vsock.socket", devices,
                    memory="512M", keys=subprocess.PIPE)

    def type(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def login(self):
        self.wait_for("guest login: ")
        self.type("root")
        self.wait_for("Password: ")
        self.type("guest")
        self.wait_for("Linux guest")
        self.type("sh /dev/disk/by-id/virtio-script; echo script ended: $?")

    def power_off(self):
        self.wait_for("\nscript ended: ")
        wait_until(lambda: re.search(r"\nscript ended: \d+\n", self.text()), "the end of a line")
        check("\nscript ended: 0\n" in self.text(), "the guest's script failed")
        self.type("poweroff")
        try:
            self.process.wait(timeout=BOOT_TIMEOUT)
        except subprocess.TimeoutExpired:
            raise Failure("the guest does not power off") from None
        return self.text()


class Disks:
    """The guest's disks, each of a daemon of its own: root, one for data, and the script."""

    def __init__(self, bench, script):
        self.root = bench.folder / "root"
        subprocess.run(["cp", "--sparse=always", lab_path("debian"), self.root], check=True)
        data = bench.folder / "data"
        data.write_bytes(bytes(64 * MIB))
        file = bench.folder / "script"
        file.write_bytes((script + "exit 0\n").encode().ljust(1 << 16, b"\n"))
        self.daemons, self.devices = [], []
        for name, path in (("root", self.root), ("data", data), ("script", file)):
            daemon = bench.daemon("blk", f"--blk-file={path}", "--format=raw", f"--serial={name}",
                                  label=f"-{name}")
            self.daemons.append(daemon)
            self.devices += socket_device(name, daemon.path, "vhost-user-blk-pci", reconnect=True)

    def check_root(self):
        for daemon in self.daemons:
            check(daemon.end() == 0, "the exit status of a disk's daemon")
        checked = subprocess.run(["e2fsck", "-fn", self.root], capture_output=True, text=True, check=False)
        check(checked.returncode == 0, f"the root file system: {checked.stdout[-300:]}")


FIO = """
fio_job() { fio --ioengine=libaio --direct=1 --verify=crc32c --verify_fatal=1 --group_reporting "$@" >>/tmp/fio 2>&1; }
"""

DEVICES_SCRIPT = FIO + """
set -e
echo "root is $(findmnt -no SOURCE /) of $(cat /sys/block/vda/serial)"
echo "rng is $(cat /sys/class/misc/hw_random/rng_current), $(head -c 65536 /dev/hwrng | wc -c) bytes"

fio_job --name=raw --filename=/dev/disk/by-id/virtio-data --size=8m --offset_increment=8m --numjobs=4 --iodepth=16 \
  --rw=randwrite --bs=4k && echo "fio raw is right"
fio_job --name=sizes --filename=/dev/disk/by-id/virtio-data --size=16m --offset_increment=16m --numjobs=2 \
  --iodepth=8 --rw=write --bsrange=4k-256k && echo "fio sizes is right"
fio_job --name=files --directory=/var/tmp --size=8m --numjobs=3 --iodepth=8 --rw=randwrite --bs=8k --end_fsync=1 \
  && echo "fio files is right"

card() { basename "$(dirname "$(grep -l "$1" /sys/class/net/*/address)")"; }
tap=$(card 52:54:00:12:34:01) user=$(card 52:54:00:12:34:02)
ip link set $tap up
ip addr add 10.7.0.2/24 dev $tap
mkdir -p /run/systemd/network
printf '[Match]\\nName=%s\\n[Network]\\nDHCP=ipv4\\n' $user >/run/systemd/network/user.network
systemctl start systemd-networkd
for _ in $(seq 1000); do ip addr show dev $user | grep -q 10.0.2.15/24 && break; sleep 0.2; done
echo "user is $(ip -o -4 addr show dev $user | grep -o 10.0.2.15/24)"
# iperf NAME ADDRESS PORT OPTION...: exit status, and what has arrived, in kB/s.
iperf() {
  name=$1 address=$2 port=$3
  shift 3
  iperf3 -c $address -p $port -t 3 -f K "$@" >/tmp/iperf 2>&1
  echo "iperf $name: $? $(sed -n 's/.* \\([0-9.]*\\) KBytes.sec.*receiver/\\1/p' /tmp/iperf) kB/s"
}
iperf tap-up 10.7.0.1 5201
iperf tap-down 10.7.0.1 5201 -R
iperf user-up 10.0.2.2 @PORT@
iperf user-down 10.0.2.2 @PORT@ -R

socat VSOCK-LISTEN:6000,fork SYSTEM:'md5sum' &
echo "vsock listens"
head -c 2000000 /dev/urandom >/tmp/data
echo "vsock says $(socat -t 100 - VSOCK-CONNECT:2:5000 </tmp/data) to $(md5sum </tmp/data)"
"""


def answer_sums(path):
    """Whoever connects to the host's port 5000 by vsock gets the sum of what was sent."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(f"{path}_5000")
    listener.listen()
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(sum_of(connection.makefile("rb").read()).encode())


def test_devices(bench):
    """Disks with fio's verification, taps and the user-mode network with iperf3, vsock both ways, rng."""
    vsock = f"{bench.folder}/v"
    port = free_port()
    disks = Disks(bench, DEVICES_SCRIPT.replace("@PORT@", str(port)))
    tap = bench.daemon("net", "--tap=vmtap0", "--ip=10.7.0.1", "--mask=255.255.255.0", label="-tap",
                       prefix=["unshare", "-n"])
    user = user_network(bench, label="-user")
    rng = bench.daemon("rng")
    sockets = bench.daemon("vsock", "--guest-cid=5", f"--uds-path={vsock}")
    bench.program("nsenter", "-t", str(tap.process.pid), "-n", "iperf3", "-s")
    bench.program("iperf3", "-s", "-B", "127.0.0.1", "-p", str(port))
    threading.Thread(target=answer_sums, args=[vsock], daemon=True).start()
    guest = bench.add(Debian(bench.folder, [
        *disks.devices, *net_device(1, tap.path), *net_device(2, user.path),
        *socket_device("rng", rng.path, "vhost-user-rng-pci"),
        *socket_device("vsock", sockets.path, "vhost-user-vsock-pci")]))
    guest.login()
    guest.wait_for("vsock listens")
    data = random.randbytes(2 * MIB)
    check(sum_of(data) in say_to_guest(vsock, 6000, data).decode(), "what the guest got by vsock")
    client, reply = connect_to_guest(vsock, 22)
    with client:
        check(reply.readline().startswith(b"SSH-2.0-"), "ssh over vsock")
    text = guest.power_off()
    check("root is /dev/vda of root" in text, "the guest's root")
    check("rng is virtio_rng.0, 65536 bytes" in text, "the guest's entropy")
    for name in ("raw", "sizes", "files"):
        check(f"fio {name} is right" in text, f"fio: {name}")
    check("user is 10.0.2.15/24" in text, "the address by DHCP")
    for name in ("tap-up", "tap-down", "user-up", "user-down"):
        speed = re.search(rf"iperf {name}: 0 ([0-9.]+) kB/s", text)
        check(speed and float(speed[1]) > 0, f"iperf3: {name}")
        print(f"   {name} {float(speed[1]) / 1024:.1f} MB/s")
    said = re.search(r"vsock says (\w+) to (\w+)", text)
    check(said and said[1] == said[2], "what the host got by vsock")
    disks.check_root()
    for daemon in (tap, user, rng, sockets):
        check(daemon.end() == 0, "a daemon's exit status")


RECOVERY_SCRIPT = FIO + """
echo working
fio_job --name=load --filename=/dev/disk/by-id/virtio-data --size=8m --offset_increment=8m --numjobs=4 --iodepth=16 \
  --rw=randwrite --bs=4k --verify_backlog=256 --time_based --runtime=@SECONDS@ &
raw=$!
fio_job --name=files --directory=/var/tmp --size=8m --numjobs=2 --iodepth=8 --rw=randwrite --bs=4k \
  --verify_backlog=64 --time_based --runtime=@SECONDS@ &
files=$!
wait $raw && wait $files && echo "fio is right" || tail -n 40 /tmp/fio
dmesg | grep -i 'virtio.*\\(error\\|bogus\\|not a head\\)\\|I/O error\\|blocked for more' && exit 1
true
"""

KILLS = 10


def test_recovery(bench):
    """The disks' daemons are killed ten times each while fio verifies: nothing is lost, or done twice."""
    disks = Disks(bench, RECOVERY_SCRIPT.replace("@SECONDS@", str(4 * KILLS + 5)))
    guest = bench.add(Debian(bench.folder, disks.devices))
    guest.login()
    guest.wait_for("working")
    time.sleep(3)
    for _ in range(KILLS):
        for daemon in disks.daemons[:2]:
            daemon.kill()
        # QEMU tries once a second, and not again when the daemon dies during the handshake.
        time.sleep(random.uniform(0, 0.5))
        for daemon in disks.daemons[:2]:
            daemon.start()
        time.sleep(random.uniform(2.5, 3.5))
        check(guest.process.poll() is None, "QEMU has ended")
    text = guest.power_off()
    check("fio is right" in text, "fio's verification")
    disks.check_root()


if __name__ == "__main__":
    sys.exit(main(tests_of(globals())))
