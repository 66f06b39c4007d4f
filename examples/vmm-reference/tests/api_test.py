#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Conversations with vmm-reference over its API socket, byte by byte. No guest runs, so no KVM is needed.

api_test.py COMMAND...: the program, behind what runs it where it cannot run by itself."""
import array
import contextlib
import json
import os
import resource
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock

COMMAND: list[str] = []
PATIENCE = 60  # seconds, for what has to come: the machine may be busy with something else
CONFIG = {
    "payload": {"kernel": "/nowhere/vmlinux", "cmdline": "console=ttyS0"},
    "console": {"mode": "Pty", "file": None},
    "serial": {"mode": "Null", "file": None},
    "disks": [{"path": "/nowhere/disk", "readonly": True, "disable_io_uring": True, "disable_aio": True}],
    "memory": {"size": 1 << 28, "shared": True},
    "weather": "fine",
}


def is_native():
    """Whether the program runs on this kernel, rather than on one that is played by an emulator."""
    return COMMAND[0].endswith("vmm-reference")


def has_filters():
    return is_native() and "--seccomp" not in COMMAND


def tiny_kernel():
    """A kernel that the program loads: an ELF file with a PVH entry, or an Image of arm64. It is not run."""
    with open(next(word for word in COMMAND if word.endswith("vmm-reference")), "rb") as file:
        machine = file.read(20)[18]
    if machine == 183:
        return struct.pack("<IIQQQQQQII", 0x14000000, 0, 0, 1 << 16, 0xa, 0, 0, 0, 0x644D5241, 0).ljust(4096, b"\0")
    note = struct.pack("<III4sI", 4, 4, 18, b"Xen\0", 0x100000)
    elf = b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, 0x100000, 64, 0, 0, 64, 56, 2,
                                                                64, 0, 0)
    for kind, flags, offset, address, size in ((4, 4, 176, 0, len(note)), (1, 5, 176 + len(note), 0x100000, 16)):
        elf += struct.pack("<IIQQQQQQ", kind, flags, offset, address, address, size, size, 4)
    return elf + note + b"\xf4".ljust(16, b"\x90")


class Client:
    """One connection to the API."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE)
        try:
            self.socket.connect(path)
        except OSError:
            self.socket.close()
            raise

    def send(self, data, fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        sent = self.socket.sendmsg([data], rights)
        if sent < len(data):  # even a send of nothing fails when the other side has answered and gone
            self.socket.sendall(data[sent:])

    def answer(self):
        """Status, headers and body of the next answer; None at the end of the connection."""
        data = b""
        while b"\r\n\r\n" not in data:
            more = self.socket.recv(65536)
            if not more:
                return None
            data += more
        head, body = data.split(b"\r\n\r\n", 1)
        lines = head.decode().split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:])
        while len(body) < int(headers.get("Content-Length", 0)):
            body += self.socket.recv(65536)
        return int(lines[0].split()[1]), headers, body

    def close(self):
        self.socket.close()


class Vmm:
    def __init__(self, *options, pass_fds=()):
        self.folder = tempfile.TemporaryDirectory()
        self.path = self.folder.name + "/api"
        self.process = subprocess.Popen([*COMMAND, *(option.replace("FOLDER", self.folder.name) for option in options)],
                                        stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, pass_fds=pass_fds)

    def wait_for_socket(self):
        for _ in range(100 * PATIENCE):
            if self.process.poll() is not None:
                return
            try:
                Client(self.path).close()
                return
            except (ConnectionRefusedError, FileNotFoundError):  # bound, but not listening yet
                signal.sigtimedwait([], 0.01)

    def wait_for_signals(self):
        """Until it takes the signals that end it, as far as one can tell from outside."""
        wanted = 1 << signal.SIGTERM - 1
        for _ in range(100 * PATIENCE if is_native() else 0):
            with open(f"/proc/{self.process.pid}/status", encoding="utf-8") as file:
                status = dict(line.split(":\t", 1) for line in file if ":\t" in line)
            if (int(status["SigBlk"], 16) | int(status["SigCgt"], 16)) & wanted:
                break
            signal.sigtimedwait([], 0.01)

    def call(self, method, name, body=None, fds=()):
        data = b"" if body is None else (body if isinstance(body, bytes) else json.dumps(body).encode())
        client = Client(self.path)
        length = f"Content-Length: {len(data)}\r\n" if body is not None else ""
        client.send(f"{method} /api/v1/{name} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n{length}\r\n".encode()
                    + data, fds)
        status, headers, body = client.answer()
        client.close()
        assert headers["Server"] == "Cloud Hypervisor API", headers
        if "Content-Length" in headers:
            assert headers["Content-Type"] == "application/json", headers
        else:
            assert body == b""
        return status, json.loads(body) if body else None

    def open_fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def settled_fds(self):
        """How many are open when connections that have ended are closed."""
        last, same = -1, 0
        while same < 15:
            now = self.open_fds()
            last, same = now, same + 1 if now == last else 0
            signal.sigtimedwait([], 0.02)
        return last

    def settles_at(self, wanted):
        """Waits until so many are open."""
        for _ in range(50 * PATIENCE):
            if self.open_fds() == wanted:
                break
            signal.sigtimedwait([], 0.02)
        assert self.settled_fds() == wanted

    def end(self, number=signal.SIGTERM):
        if number:
            self.process.send_signal(number)
        errors = self.process.communicate(timeout=PATIENCE)[1].decode()
        return self.process.returncode, errors

    def clean(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        self.folder.cleanup()


class ApiTest(unittest.TestCase):
    def vmm(self, *options, **more):
        vmm = Vmm(*(options or ("--api-socket", "path=FOLDER/api")), **more)
        self.addCleanup(vmm.clean)
        vmm.wait_for_socket()
        return vmm

    def test_ping(self):
        vmm = self.vmm()
        status, body = vmm.call("GET", "vmm.ping")
        self.assertEqual(status, 200)
        self.assertEqual(sorted(body), ["build_version", "features", "pid", "version"])
        if is_native():
            self.assertEqual(body["pid"], vmm.process.pid)

    def test_sandbox(self):
        """Every thread is behind its filter, and none can gain rights by running a program."""
        if not has_filters():
            self.skipTest("without filters of system calls")
        vmm = self.vmm("--api-socket", "path=FOLDER/api", "--event-monitor", "path=FOLDER/events")
        self.assertEqual(vmm.call("PUT", "vm.create", CONFIG), (204, None))
        names = []
        for task in os.listdir(f"/proc/{vmm.process.pid}/task"):
            with open(f"/proc/{vmm.process.pid}/task/{task}/status", encoding="utf-8") as file:
                status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
            self.assertEqual((status["Seccomp"], status["NoNewPrivs"]), ("2", "1"), status["Name"])
            names.append(status["Name"])
        self.assertEqual(sorted(names), ["event-monitor", "opener", "vmm-reference"])

    def test_landlock(self):
        """What the configuration does not name cannot be opened after the VM's creation."""
        with unittest.mock.patch.dict(os.environ, ASAN_OPTIONS="detect_leaks=0"):  # that opens files
            vmm = self.vmm()
        allowed, other = vmm.folder.name + "/allowed", vmm.folder.name + "/other"
        for path in (allowed, other):
            with open(path, "wb"):
                pass
        rule = {"path": allowed, "access": "rw"}
        kernel = {"payload": {"kernel": allowed}, "console": {"mode": "Off"}}
        status, errors = vmm.call("PUT", "vm.create", {**kernel, "landlock_enable": True, "landlock_rules": [rule]})
        if status == 500 and "Landlock" in errors[-1]:
            self.skipTest(errors[-1])  # an old kernel, or an emulator
        self.assertEqual((status, errors), (204, None))
        self.assertEqual(vmm.call("GET", "vm.info")[1]["config"]["landlock_rules"], [rule])
        for path, status in ((other, 500), (allowed, 204)):  # for good, whatever the next VM says
            self.assertEqual(vmm.call("PUT", "vm.delete"), (204, None))
            got = vmm.call("PUT", "vm.create", {**kernel, "serial": {"mode": "File", "file": path}})
            self.assertEqual(got[0], status, got)
        missing = {**kernel, "landlock_enable": True, "landlock_rules": [{"path": "/nowhere", "access": "r"}]}
        self.assertEqual(vmm.call("PUT", "vm.delete"), (204, None))
        for landlock in (True, False):
            status, errors = vmm.call("PUT", "vm.create", {**missing, "landlock_enable": landlock})
            self.assertEqual(status, 400)
            self.assertIn("/nowhere", errors[-1])
        self.assertEqual(vmm.end()[0], 0)

    def test_create_info_delete(self):
        vmm = self.vmm()
        self.assertEqual(vmm.call("GET", "vm.info")[0], 404)
        self.assertEqual(vmm.call("PUT", "vm.create", CONFIG), (204, None))
        status, info = vmm.call("GET", "vm.info")
        self.assertEqual(status, 200)
        self.assertEqual(info["state"], "Created")
        self.assertEqual(info["memory_actual_size"], 1 << 28)
        config = info["config"]
        self.assertTrue(stat.S_ISCHR(os.stat(config["console"]["file"]).st_mode))
        self.assertEqual(config["serial"], {"mode": "Null"})
        self.assertEqual(config["cpus"]["boot_vcpus"], 1)
        self.assertEqual(config["disks"][0]["path"], "/nowhere/disk")
        self.assertEqual(config["disks"][0]["id"], "_disk0")
        self.assertTrue(config["disks"][0]["readonly"])
        self.assertNotIn("weather", config)
        self.assertNotIn("vsock", config)
        self.assertEqual(vmm.call("PUT", "vm.create", CONFIG)[0], 500)
        self.assertEqual(vmm.call("PUT", "vm.delete"), (204, None))
        self.assertEqual(vmm.call("PUT", "vm.delete"), (204, None))
        self.assertEqual(vmm.call("GET", "vm.info")[0], 404)
        # What vm.info shows can be created again.
        self.assertEqual(vmm.call("PUT", "vm.create", config), (204, None))

    def test_devices_before_the_boot(self):
        vmm = self.vmm()
        disk = {"path": "/nowhere/disk", "id": "mine"}
        self.assertEqual(vmm.call("PUT", "vm.add-disk", disk)[0], 404)
        self.assertEqual(vmm.call("PUT", "vm.create", CONFIG), (204, None))
        self.assertEqual(vmm.call("PUT", "vm.add-disk", disk), (204, None))
        self.assertEqual(vmm.call("PUT", "vm.add-disk", disk)[0], 409)
        self.assertEqual(vmm.call("PUT", "vm.add-disk", {"path": "/nowhere/disk", "num_queues": 2})[0], 400)
        self.assertEqual(vmm.call("PUT", "vm.add-disk", {})[0], 400)
        self.assertEqual(vmm.call("PUT", "vm.add-vsock", {"cid": 3, "socket": "/nowhere/vsock"}), (204, None))
        self.assertEqual(vmm.call("PUT", "vm.add-vsock", {"cid": 4, "socket": "/nowhere/other"})[0], 500)
        self.assertEqual(vmm.call("PUT", "vm.add-fs", {"tag": "here", "socket": "/nowhere/fs"}), (204, None))
        self.assertEqual(vmm.call("PUT", "vm.add-device", {"path": "/sys/nothing"}), (204, None))
        self.assertEqual(vmm.call("PUT", "vm.add-device", {"path": "/sys/./nothing"})[0], 409)
        self.assertEqual(vmm.call("PUT", "vm.add-user-device", {"socket": "/nowhere/device"}), (204, None))
        self.assertEqual(vmm.call("PUT", "vm.add-pmem", {"file": "/nowhere/file"}), (204, None))
        config = vmm.call("GET", "vm.info")[1]["config"]
        self.assertEqual([disk["id"] for disk in config["disks"]], ["_disk0", "mine"])
        self.assertEqual(config["vsock"]["cid"], 3)
        for name, status in (("mine", 204), ("mine", 404), ("_disk0", 204), (config["vsock"]["id"], 204),
                             ("__console", 400), ("", 404)):
            self.assertEqual(vmm.call("PUT", "vm.remove-device", {"id": name})[0], status, name)
        self.assertEqual(vmm.call("PUT", "vm.remove-device", {})[0], 400)
        config = vmm.call("GET", "vm.info")[1]["config"]
        self.assertNotIn("disks", config)
        self.assertNotIn("vsock", config)

    def test_descriptors_of_network_devices(self):
        vmm = self.vmm()
        self.assertEqual(vmm.call("PUT", "vm.create", CONFIG), (204, None))
        before = vmm.settled_fds()
        with open("/dev/null", "rb") as null:
            fds = [null.fileno()]
            for body, sent, status in (({}, fds * 2, 400), ({"tap": "tap0"}, fds, 400), ({"id": "_disk0"}, fds, 409),
                                       ({"pci_segment": 5}, fds, 400)):
                self.assertEqual(vmm.call("PUT", "vm.add-net", body, sent)[0], status, body)
                vmm.settles_at(before)
            self.assertEqual(vmm.call("PUT", "vm.add-disk", {"path": "/nowhere"}, fds)[0], 204)
            vmm.settles_at(before)
            self.assertEqual(vmm.call("PUT", "vm.add-net", {"id": "one"}, fds), (204, None))
            self.assertEqual(vmm.call("PUT", "vm.add-net", {"id": "two", "num_queues": 4}, fds * 2)[0], 400)
            vmm.settles_at(before + 1)
            self.assertEqual(vmm.call("PUT", "vm.remove-device", {"id": "one"}), (204, None))
            vmm.settles_at(before)
            self.assertEqual(vmm.call("PUT", "vm.add-net", {"id": "one"}, fds), (204, None))
            self.assertEqual(vmm.call("PUT", "vm.delete"), (204, None))

    def test_states(self):
        vmm = self.vmm()
        for name, absent, created in (("vm.boot", 404, 500), ("vm.pause", 500, 500), ("vm.resume", 500, 500),
                                      ("vm.shutdown", 500, 500), ("vm.reboot", 404, 404),
                                      ("vm.power-button", 500, 500), ("vm.nmi", 500, 500)):
            with self.subTest(name):
                self.assertEqual(vmm.call("PUT", name)[0], absent)
                self.assertEqual(vmm.call("PUT", "vm.create", CONFIG)[0], 204)
                status, errors = vmm.call("PUT", name)
                self.assertEqual(status, created)
                self.assertEqual(errors[0], "Error from API")
                self.assertEqual(len(errors), 3)
                self.assertEqual(vmm.call("GET", "vm.info")[1]["state"], "Created")
                self.assertEqual(vmm.call("PUT", "vm.delete")[0], 204)
        self.assertEqual(vmm.call("GET", "vm.counters")[0], 500)
        self.assertEqual(vmm.call("PUT", "vm.resize", {"desired_balloon": 0})[0], 404)
        self.assertEqual(vmm.call("PUT", "vm.resize-disk", {"id": "x", "desired_size": 512})[0], 404)

    def test_boot_says_what_failed(self):
        vmm = self.vmm()
        vmm.call("PUT", "vm.create", CONFIG)
        status, errors = vmm.call("PUT", "vm.boot")
        self.assertEqual(status, 500)
        self.assertEqual(errors[1], "The VM could not boot")
        self.assertIn("/nowhere/vmlinux", errors[2])

    def vmm_in_a_long_boot(self):
        """A VMM that waits for a back end, at FOLDER/back-end, and the client that has asked for it."""
        vmm = self.vmm()
        with open(vmm.folder.name + "/kernel", "wb") as file:
            file.write(tiny_kernel())
        config = {"payload": {"kernel": file.name}, "console": {"mode": "Null"}, "serial": {"mode": "Null"},
                  "memory": {"size": 1 << 28, "shared": True},
                  "fs": [{"tag": "t", "socket": vmm.folder.name + "/back-end"}]}
        self.assertEqual(vmm.call("PUT", "vm.create", config), (204, None))
        slow = Client(vmm.path)
        self.addCleanup(slow.close)
        slow.send(b"PUT /api/v1/vm.boot HTTP/1.1\r\nHost: localhost\r\n\r\n")
        signal.sigtimedwait([], 0.3)
        return vmm, slow

    def end_of_back_end(self, vmm):
        """It comes, and goes at once: the boot fails."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(vmm.folder.name + "/back-end")
            listener.listen()
            listener.settimeout(PATIENCE)
            listener.accept()[0].close()

    def test_others_are_served_during_a_boot(self):
        """A boot that waits for a back end keeps the state, not the clients."""
        vmm, slow = self.vmm_in_a_long_boot()
        second = Client(vmm.path)
        second.send(b"PUT /api/v1/vm.pause HTTP/1.1\r\nHost: localhost\r\n\r\n")
        shortest = PATIENCE
        for _ in range(10):
            begin = time.monotonic()
            self.assertEqual(vmm.call("GET", "vmm.ping")[0], 200)
            status, info = vmm.call("GET", "vm.info")
            self.assertEqual((status, info["state"]), (200, "Created"))
            self.assertEqual(info["config"]["fs"][0]["tag"], "t")
            self.assertEqual(vmm.call("GET", "vm.nothing")[0], 404)
            shortest = min(shortest, time.monotonic() - begin)
        for waiting in (slow, second):
            waiting.socket.settimeout(0.3)
            self.assertRaises(TimeoutError, waiting.answer)
            waiting.socket.settimeout(PATIENCE)
        if is_native():
            self.assertLess(shortest, 0.3)  # three calls
        self.end_of_back_end(vmm)
        status, _, body = slow.answer()
        self.assertEqual(status, 500)
        self.assertIn(b"The VM could not boot", body)
        status, _, body = second.answer()  # when it was its turn
        self.assertEqual(status, 500)
        self.assertIn(b"VM is not running", body)
        second.close()
        self.assertEqual(vmm.call("GET", "vm.info")[1]["state"], "Created")
        self.assertEqual(vmm.end(), (0, ""))

    def test_many_requests_wait_during_a_boot(self):
        """Those of clients that have gone are bounded."""
        vmm, slow = self.vmm_in_a_long_boot()
        for _ in range(50):
            client = Client(vmm.path)
            client.send(b"PUT /api/v1/vm.pause HTTP/1.1\r\nHost: localhost\r\n\r\n")
            client.close()
        status, errors = vmm.call("PUT", "vm.pause")
        self.assertEqual(status, 500)
        self.assertEqual(errors[1], "Too many requests wait for their turn")
        self.assertEqual(vmm.call("GET", "vmm.ping")[0], 200)
        self.end_of_back_end(vmm)
        self.assertEqual(slow.answer()[0], 500)
        self.assertEqual(vmm.call("PUT", "vm.pause")[1][2], "VM is not running")
        self.assertEqual(vmm.end(), (0, ""))

    def assert_ends_soon(self, vmm, number=signal.SIGTERM):
        begin = time.monotonic()
        status, errors = vmm.end(number)
        self.assertEqual(status, 0)
        self.assertLess(time.monotonic() - begin, PATIENCE / 2)
        return errors

    def test_ends_during_a_long_boot(self):
        """The back end is given up; the end is in order."""
        for number in (signal.SIGTERM, signal.SIGINT):
            vmm, slow = self.vmm_in_a_long_boot()
            self.assertNotIn("does not come back", self.assert_ends_soon(vmm, number))
            self.assertFalse(os.path.exists(vmm.path))
            slow.close()

    def test_ends_though_a_back_end_says_nothing(self):
        """One that takes the connection, and then never answers."""
        vmm = Vmm("--api-socket", "path=FOLDER/api")
        self.addCleanup(vmm.clean)
        vmm.wait_for_socket()
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(vmm.folder.name + "/silent")
            listener.listen()
            with open(vmm.folder.name + "/kernel", "wb") as file:
                file.write(tiny_kernel())
            config = {"payload": {"kernel": file.name}, "console": {"mode": "Null"}, "serial": {"mode": "Null"},
                      "memory": {"size": 1 << 28, "shared": True},
                      "fs": [{"tag": "t", "socket": vmm.folder.name + "/silent"}]}
            self.assertEqual(vmm.call("PUT", "vm.create", config), (204, None))
            slow = Client(vmm.path)
            self.addCleanup(slow.close)
            slow.send(b"PUT /api/v1/vm.boot HTTP/1.1\r\nHost: localhost\r\n\r\n")
            connection = listener.accept()[0]
            self.addCleanup(connection.close)
            self.assert_ends_soon(vmm)

    def test_ends_before_a_fifo_has_a_reader(self):
        with tempfile.TemporaryDirectory() as folder:
            fifo = folder + "/fifo"
            os.mkfifo(fifo)
            vm = ("--kernel", "/nowhere/vmlinux", "--console", "off")
            for words in (("--api-socket", folder + "/api", "--event-monitor", "path=" + fifo),
                          (*vm, "--serial", "file=" + fifo),
                          (*vm, "--api-socket", folder + "/api", "--serial", "file=" + fifo)):
                with self.subTest(words):
                    vmm = Vmm(*words)
                    self.addCleanup(vmm.clean)
                    vmm.wait_for_signals()
                    signal.sigtimedwait([], 1)
                    self.assertIsNone(vmm.process.poll())
                    self.assert_ends_soon(vmm)
                    self.assertFalse(os.path.exists(folder + "/api"))

    def test_fifo_whose_reader_comes_late(self):
        with tempfile.TemporaryDirectory() as folder:
            fifo = folder + "/fifo"
            os.mkfifo(fifo)
            vmm = Vmm("--api-socket", folder + "/api", "--event-monitor", "path=" + fifo)
            self.addCleanup(vmm.clean)
            vmm.path = folder + "/api"
            signal.sigtimedwait([], 0.5)
            with open(fifo, encoding="utf-8") as reader:
                vmm.wait_for_socket()
                self.assertEqual(vmm.call("GET", "vmm.ping")[0], 200)
                self.assert_ends_soon(vmm)
                self.assertIn('"starting"', reader.read())

    def test_closed_standard_streams(self):
        """What the VMM opens never becomes one of them."""
        if not is_native():
            self.skipTest("the streams are the emulator's")
        with tempfile.TemporaryDirectory() as folder:
            # A shell would keep its own copies: only the program's streams are closed.
            close = "import os, sys; os.closerange(0, 3); os.execv(sys.argv[1], sys.argv[1:])"
            with subprocess.Popen([sys.executable, "-c", close, *COMMAND, "--api-socket", folder + "/api"]) as process:
                try:
                    for _ in range(50 * PATIENCE):
                        if os.path.exists(folder + "/api"):
                            break
                        signal.sigtimedwait([], 0.02)
                    for fd in range(3):
                        self.assertEqual(os.readlink(f"/proc/{process.pid}/fd/{fd}"), "/dev/null")
                finally:
                    process.terminate()
                self.assertEqual(process.wait(PATIENCE), 0)

    def test_addresses_of_networks(self):
        vmm = self.vmm()
        vmm.call("PUT", "vm.create", {**CONFIG, "console": {"mode": "Null"}})
        for net, word in (({"ip": "x", "mask": "y"}, 'ip: "x"'), ({"ip": "192.0.2.1", "mask": "y"}, 'mask: "y"')):
            status, errors = vmm.call("PUT", "vm.add-net", net)
            self.assertEqual(status, 400)
            self.assertIn(word, errors[-1])
            status, errors = vmm.call("PUT", "vm.create", {**CONFIG, "net": [net]})
            self.assertEqual(status, 400)
            self.assertIn(word, errors[-1])

    def test_ids_of_devices_that_come_later(self):
        vmm = self.vmm()
        vmm.call("PUT", "vm.create", CONFIG)
        vmm.call("PUT", "vm.add-net", {"tap": "t"})
        self.assertEqual(vmm.call("GET", "vm.info")[1]["config"]["net"][0]["id"], "_net1")

    def test_mac_of_a_network(self):
        """One that nobody gave is the network's for good."""
        vmm = self.vmm()
        vmm.call("PUT", "vm.create", {**CONFIG, "net": [{"id": "cold"}]})
        self.assertEqual(vmm.call("PUT", "vm.add-net", {"id": "later"}), (204, None))
        nets = vmm.call("GET", "vm.info")[1]["config"]["net"]
        for net in nets:
            self.assertRegex(net["mac"], "^[0-9a-f][26ae](:[0-9a-f]{2}){5}$")
        self.assertNotEqual(nets[0]["mac"], nets[1]["mac"])
        self.assertEqual(vmm.call("GET", "vm.info")[1]["config"]["net"], nets)

    def test_same_host_device_twice(self):
        vmm = self.vmm()
        with tempfile.TemporaryDirectory() as folder:
            os.symlink(folder, folder + "/link")
            devices = [{"path": folder}, {"path": folder + "/link"}]
            status, errors = vmm.call("PUT", "vm.create", {**CONFIG, "devices": devices})
        self.assertEqual(status, 400)
        self.assertIn("given twice", errors[2])
        self.assertEqual(vmm.call("GET", "vm.info")[0], 404)

    def test_few_descriptors(self):
        """The table of descriptors is as large as the limit from the start, where that is low."""
        if not is_native():
            self.skipTest("the table is the emulator's")
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (1000, limits[1]))
        try:
            vmm = self.vmm()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        with open(f"/proc/{vmm.process.pid}/status", encoding="utf-8") as status:
            self.assertRegex(status.read(), r"FDSize:\s*1024\n")

    def test_memory_beyond_the_host(self):
        """It may be had as the guest touches it, and not at once."""
        if not is_native():
            self.skipTest("the emulator has the host's address space")
        with open("/proc/meminfo", encoding="utf-8") as file:
            host = {line.split(":")[0]: int(line.split()[1]) for line in file}
        size = 5 * 1024 * (host["MemTotal"] + host["SwapTotal"])
        vmm = self.vmm()
        with open(vmm.folder.name + "/kernel", "wb") as file:
            file.write(tiny_kernel())
        for memory, refused in (({}, False), ({"reserve": True}, True), ({"prefault": True}, True)):
            config = {"payload": {"kernel": file.name}, "console": {"mode": "Null"}, "memory": {"size": size, **memory}}
            self.assertEqual(vmm.call("PUT", "vm.create", config), (204, None))
            _, errors = vmm.call("PUT", "vm.boot")  # without KVM there are other reasons to fail
            self.assertEqual("more than 4 times" in str(errors), refused, errors)
            self.assertEqual(vmm.call("PUT", "vm.delete"), (204, None))
        self.assertEqual(vmm.end()[1].count("more than 4 times"), 1)

    def test_resize_before_boot(self):
        vmm = self.vmm()
        vmm.call("PUT", "vm.create", {**CONFIG, "balloon": {"size": 0}})
        self.assertEqual(vmm.call("PUT", "vm.resize", {"desired_balloon": 1 << 20})[0], 204)
        self.assertEqual(vmm.call("GET", "vm.info")[1]["config"]["balloon"]["size"], 1 << 20)
        self.assertEqual(vmm.call("PUT", "vm.resize", {"desired_balloon": 1 << 28})[0], 400)
        self.assertEqual(vmm.call("PUT", "vm.resize", {"desired_balloon": "1M"})[0], 400)
        self.assertEqual(vmm.call("PUT", "vm.resize", {"desired_vcpus": 1, "desired_ram": 1 << 28})[0], 204)
        self.assertEqual(vmm.call("PUT", "vm.resize", {"desired_vcpus": 2})[0], 204)
        self.assertEqual(vmm.call("PUT", "vm.resize", {"desired_ram": 1 << 29})[0], 204)
        config = vmm.call("GET", "vm.info")[1]["config"]
        self.assertEqual((config["cpus"]["boot_vcpus"], config["memory"]["size"]), (2, 1 << 29))
        self.assertEqual(vmm.call("PUT", "vm.resize", {"desired_vcpus": 0})[0], 500)

    def test_resize_of_memory_before_boot(self):
        vmm = self.vmm()
        memory = {"size": 1 << 28, "hotplug_method": "VirtioMem", "hotplug_size": 1 << 28}
        vmm.call("PUT", "vm.create", {**CONFIG, "memory": memory})
        self.assertEqual(vmm.call("PUT", "vm.resize", {"desired_ram": 3 << 27})[0], 204)
        self.assertEqual(vmm.call("GET", "vm.info")[1]["config"]["memory"]["hotplugged_size"], 1 << 27)
        for size in ((1 << 29) + (1 << 21), 1 << 27, (3 << 27) + (1 << 20)):
            self.assertEqual(vmm.call("PUT", "vm.resize", {"desired_ram": size})[0], 500)
        self.assertEqual(vmm.call("PUT", "vm.resize", {"desired_ram": 1 << 28})[0], 204)
        self.assertNotIn("hotplugged_size", vmm.call("GET", "vm.info")[1]["config"]["memory"])

    def test_wrong_requests(self):
        vmm = self.vmm()
        for method, name, body, status in (
                ("GET", "vm.fly", None, 404), ("GET", "vmm.ping/", None, 404), ("PUT", "vmm.ping", None, 400),
                ("GET", "vm.snapshot", None, 400), ("PUT", "vm.snapshot", None, 400),
                ("GET", "vm.create", CONFIG, 400), ("DELETE", "vm.info", None, 400), ("PUT", "vm.create", None, 400),
                ("PUT", "vm.boot", {}, 400), ("PUT", "vm.create", b"{", 400), ("PUT", "vm.create", [], 400),
                ("PUT", "vm.create", {}, 400), ("PUT", "vm.create", {**CONFIG, "memory": {"size": 1}}, 400),
                ("PUT", "vm.create", {**CONFIG, "tpm": {"socket": "s"}}, 400),
                ("PUT", "vm.create", {**CONFIG, "serial": {"mode": "File", "file": "/nowhere/x"}}, 500),
                ("PUT", "vm.resize", b"[", 400), ("PUT", "vm.resize-disk", {"id": 1}, 400)):
            with self.subTest(f"{method} {name} {body}"):
                got, errors = vmm.call(method, name, body)
                self.assertEqual(got, status)
                self.assertTrue(all(isinstance(error, str) for error in errors))
        self.assertEqual(vmm.call("GET", "vm.info")[0], 404)

    def test_one_connection_many_requests(self):
        vmm = self.vmm()
        client = Client(vmm.path)
        for _ in range(3):
            client.send(b"GET /api/v1/vmm.ping HTTP/1.1\r\nHost: localhost\r\n\r\n")
            self.assertEqual(client.answer()[0], 200)
        client.send(b"nonsense\r\n\r\n")
        self.assertEqual(client.answer()[0], 400)
        self.assertIsNone(client.answer())
        client.close()
        self.assertEqual(vmm.call("GET", "vmm.ping")[0], 200)

    def test_descriptors_do_not_stay(self):
        vmm = self.vmm()
        vmm.call("GET", "vmm.ping")
        before = vmm.open_fds()
        for _ in range(5):
            self.assertEqual(vmm.call("GET", "vmm.ping", fds=[0] * 30)[0], 200)
        self.assertEqual(vmm.call("PUT", "vm.create", {**CONFIG, "console": {"mode": "Null"}}, fds=[0, 1])[0], 204)
        for _ in range(50 * PATIENCE):  # the VMM notices a client's end on its own time
            if vmm.open_fds() <= before:
                break
            signal.sigtimedwait([], 0.02)
        self.assertLessEqual(vmm.open_fds(), before)

    def test_crowd(self):
        vmm = self.vmm()
        crowd = [Client(vmm.path) for _ in range(100)]
        for client in crowd:
            with contextlib.suppress(OSError):  # it had to go already
                client.send(b"GET /api/v1/vm")
        self.assertEqual(vmm.call("GET", "vmm.ping")[0], 200)
        for client in crowd:
            client.close()

    def test_socket_of_the_path(self):
        vmm = self.vmm("--api-socket", "FOLDER/api")
        self.assertEqual(stat.S_IMODE(os.stat(vmm.path).st_mode) & 0o077, 0)
        other = subprocess.run([*COMMAND, "--api-socket", vmm.path], stderr=subprocess.PIPE, timeout=PATIENCE, check=False)
        self.assertEqual(other.returncode, 1)
        self.assertIn(b"another VMM has it", other.stderr)
        self.assertEqual(vmm.call("GET", "vmm.ping")[0], 200)
        self.assertEqual(vmm.end(), (0, ""))
        self.assertFalse(os.path.exists(vmm.path))

    def test_socket_that_is_left_over(self):
        vmm = self.vmm()
        vmm.process.kill()
        vmm.process.wait()
        self.assertTrue(os.path.exists(vmm.path))
        second = Vmm("--api-socket", vmm.path)
        self.addCleanup(second.clean)
        second.path = vmm.path
        second.wait_for_socket()
        self.assertEqual(second.call("GET", "vmm.ping")[0], 200)
        self.assertEqual(second.end(), (0, ""))

    def test_socket_that_is_given(self):
        with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
            listener.bind(folder + "/given")
            listener.listen()
            vmm = Vmm("--api-socket", f"fd={listener.fileno()}", pass_fds=[listener.fileno()])
            self.addCleanup(vmm.clean)
            vmm.path = folder + "/given"
            self.assertEqual(vmm.call("GET", "vmm.ping")[0], 200)
            self.assertEqual(vmm.call("PUT", "vmm.shutdown"), (200, None))
            self.assertEqual(vmm.end(None), (0, ""))
            self.assertEqual(os.listdir(folder), ["given"])

    def test_landlock_and_a_later_vm(self):
        """What a VM confines, a later one finds its consoles by; and no socket stays behind."""
        vmm = self.vmm()
        folder = vmm.folder.name
        os.mkdir(folder + "/serial")
        with open(folder + "/file", "wb") as file:
            pass
        config = {"payload": {"kernel": file.name}, "console": {"mode": "Pty"}, "landlock_enable": True,
                  "serial": {"mode": "Socket", "socket": folder + "/serial/socket"}}
        status, errors = vmm.call("PUT", "vm.create", config)
        if status == 500 and "Landlock" in errors[2]:
            self.skipTest(errors[2])
        for _ in range(2):
            self.assertEqual((status, errors), (204, None))
            self.assertTrue(os.path.exists(folder + "/serial/socket"))
            self.assertEqual(vmm.call("PUT", "vm.delete"), (204, None))
            self.assertFalse(os.path.exists(folder + "/serial/socket"))
            status, errors = vmm.call("PUT", "vm.create", config)
        self.assertEqual(vmm.end()[0], 0)
        self.assertFalse(os.path.exists(vmm.path))

    def test_ends(self):
        for number in (signal.SIGTERM, signal.SIGINT):
            vmm = self.vmm()
            vmm.call("PUT", "vm.create", {**CONFIG, "console": {"mode": "Null"}})
            self.assertEqual(vmm.end(number), (0, ""))

    def test_events(self):
        read, write = os.pipe()
        vmm = self.vmm("--api-socket", "path=FOLDER/api", "--event-monitor", f"fd={write}", pass_fds=[write])
        os.close(write)
        vmm.call("PUT", "vm.create", {**CONFIG, "console": {"mode": "Null"}})
        self.assertEqual(vmm.call("PUT", "vm.resize", {"desired_ram": 1 << 27, "desired_balloon": 1})[0], 204)
        vmm.call("PUT", "vm.boot")
        vmm.call("PUT", "vm.delete")
        self.assertEqual(vmm.end(), (0, ""))
        with os.fdopen(read) as stream:
            events = [json.loads(text) for text in stream.read().split("\n\n") if text]
        self.assertEqual([(event["source"], event["event"]) for event in events],
                         [("vmm", "starting"), ("vmm", "started"), ("vm", "booting"), ("vm", "deleted"),
                          ("vmm", "shutdown")])
        times = [(event["timestamp"]["secs"], event["timestamp"]["nanos"]) for event in events]
        self.assertEqual(times, sorted(times))

    def test_version(self):
        for words, lines in ((("--version",), 1), (("-V",), 1), (("-V", "-v"), 2), (("-vV",), 2)):
            done = subprocess.run([*COMMAND, *words], capture_output=True, timeout=PATIENCE, check=True)
            self.assertRegex(done.stdout.decode(), r"^vmm-reference [0-9]")
            self.assertEqual(done.stdout.count(b"\n"), lines)

    def test_version_under_the_other_name(self):
        if not is_native():
            self.skipTest("an emulator does not hand names on")
        with tempfile.TemporaryDirectory() as folder:
            name = folder + "/cloud-hypervisor"
            os.symlink(os.path.abspath(COMMAND[0]), name)
            done = subprocess.run([name, "--version"], capture_output=True, timeout=PATIENCE, check=True)
        lines = done.stdout.decode().splitlines()
        self.assertRegex(lines[0], "^cloud-hypervisor v[0-9]+[.][0-9]+[.][0-9]+$")
        self.assertRegex(lines[1], "^vmm-reference ")

    def test_configuration_by_file(self):
        with tempfile.TemporaryDirectory() as folder:
            path = folder + "/vm.json"
            with open(path, "w", encoding="utf-8") as file:
                json.dump({**CONFIG, "console": {"mode": "Null"}}, file)
            done = subprocess.run([*COMMAND, "--config", path], stderr=subprocess.PIPE, timeout=PATIENCE, check=False)
            self.assertEqual(done.returncode, 1)
            self.assertIn(b"/nowhere/vmlinux", done.stderr)

    def test_command_lines(self):
        for words, code, part in (((), 2, "usage: vmm-reference" if len(COMMAND) == 1 else "--kernel"), (("--memory", "size=1G", "--api-socket", "x"), 2, "--kernel"),
                                  (("--api-socket", "fd=1"), 2, "fd"), (("--api-socket", "fd=77"), 1, "fd=77"),
                                  (("--api-socket", "/nowhere/at/all"), 1, "/nowhere/at/all"),
                                  (("--event-monitor", "x", "--kernel", "k"), 2, "--event-monitor"),
                                  (("--kernel", "/nowhere/k", "--platform", ""), 1, "/nowhere/k"),
                                  (("--kernel", "k", "--landlock-rules", "path=/"), 2, "--landlock-rules"),
                                  (("--kernel", "k", "--landlock-rules", "path=/nowhere/x,access=r"), 2, "/nowhere/x"),
                                  (("--kernel", "/nowhere/k", "--landlock-rules", "path=/,access=r"), 1,
                                   "warning: --landlock-rules: without --landlock")):
            with self.subTest(words):
                done = subprocess.run([*COMMAND, *words], stderr=subprocess.PIPE, timeout=PATIENCE, check=False)
                self.assertEqual(done.returncode, code)
                self.assertIn(part, done.stderr.decode())


if __name__ == "__main__":
    COMMAND = sys.argv[1:]
    unittest.main(argv=sys.argv[:1], verbosity=2)
