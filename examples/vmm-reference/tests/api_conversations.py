#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Conversations of API clients with vmm-reference, byte by byte. No guest runs, so no KVM is needed.

api_conversations.py COMMAND...: the program, behind what runs it where it cannot run by itself.
What is said and heard stands in api_conversations.txt; here is how clients say it, and what they
do that is not nice."""
import json
import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
import unittest

import api_test

REASONS = {200: "OK", 204: "No Content", 400: "Bad Request", 404: "Not Found", 409: "Conflict",
           500: "Internal Server Error"}
PING = b"GET /api/v1/vmm.ping HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n\r\n"


def ch_remote(method, name, body):
    """The bytes of cloud-hypervisor's own client."""
    length = "" if body is None else f"Content-Length: {len(body.encode())}\r\n"
    return f"{method} /api/v1/{name} HTTP/1.1\r\nHost: localhost\r\nAccept: */*\r\n{length}\r\n{body or ''}".encode()


def curl(method, name, body):
    """The bytes of curl -X METHOD [-H 'Content-Type: application/json' -d BODY]."""
    head = f"{method} /api/v1/{name} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n"
    if body is not None:
        head += f"Content-Type: application/json\r\nContent-Length: {len(body.encode())}\r\n"
    return f"{head}\r\n{body or ''}".encode()


def read_script():
    """The file as a list of ("vmm", options) and ("ask", method, endpoint, body, status, answer)."""
    names, steps = {}, []
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "api_conversations.txt")
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            if not line or line.startswith("#"):
                continue
            if named := re.match(r"([A-Z]+)=(.*)", line):
                names[named[1]] = named[2]
            elif line.startswith("vmm "):
                steps.append(("vmm", line.split()[1:]))
            elif line.startswith("  "):
                status, _, answer = line.strip().partition(" ")
                steps[-1] += (int(status), answer or None)
            else:
                method, name, *body = line.split(" ", 2)
                text = names.get(body[0], body[0]) if body else None
                steps.append((f"line {number}: {line}", method, name, text))
    return steps


def matches(pattern, value):
    """Whether a JSON value is what a pattern asks for, where "*" is anything."""
    if pattern == "*":
        return True
    if isinstance(pattern, dict) and isinstance(value, dict):
        return pattern.keys() == value.keys() and all(matches(pattern[key], value[key]) for key in pattern)
    if isinstance(pattern, list) and isinstance(value, list):
        return len(pattern) == len(value) and all(map(matches, pattern, value))
    return type(pattern) is type(value) and pattern == value


class ConversationTest(unittest.TestCase):
    def vmm(self, *options, **more):
        vmm = api_test.Vmm(*(options or ("--api-socket", "path=FOLDER/api")), **more)
        self.addCleanup(vmm.clean)
        vmm.wait_for_socket()
        return vmm

    def receive_all(self, client):
        """Everything up to the end of a connection."""
        data = b""
        while more := client.socket.recv(65536):
            data += more
        return data

    def head_of(self, client):
        data = b""
        while not data.endswith(b"\r\n\r\n"):
            more = client.socket.recv(1)
            self.assertTrue(more, f"the connection ended after {data!r}")
            data += more
        return data.decode()

    def hear(self, client, status, answer):
        head = f"HTTP/1.1 {status} {REASONS[status]}\r\nServer: Cloud Hypervisor API\r\nConnection: keep-alive\r\n"
        got = self.head_of(client)
        if answer is None:
            self.assertEqual(got, head + "\r\n")
            return
        length = re.search(r"\r\nContent-Length: (\d+)\r\n", got)
        self.assertIsNotNone(length, got)
        count = int(length[1])
        self.assertEqual(got, head + f"Content-Type: application/json\r\nContent-Length: {count}\r\n\r\n")
        body = b""
        while len(body) < count:
            body += client.socket.recv(count - len(body))
        if answer == "empty":
            self.assertEqual(body, b"")
        else:
            self.assertTrue(matches(json.loads(answer), json.loads(body)), f"{body} is not {answer}")

    def converse(self, say):
        vmm = None
        for step in read_script():
            if step[0] == "vmm":
                vmm = self.vmm(*step[1])
                continue
            title, method, name, body, status, answer = step
            with self.subTest(title):
                client = api_test.Client(vmm.path)
                self.addCleanup(client.close)
                client.send(say(method, name, body))
                self.hear(client, status, answer)
                client.close()
        self.assertEqual(vmm.end(None), (0, ""))

    def test_in_the_bytes_of_ch_remote(self):
        self.converse(ch_remote)

    def test_in_the_bytes_of_curl(self):
        self.converse(curl)

    def test_descriptors_ride_on_the_first_bytes(self):
        vmm = self.vmm()
        self.assertEqual(vmm.call("PUT", "vm.create", {**api_test.CONFIG, "console": {"mode": "Null"}})[0], 204)
        before = vmm.settled_fds()
        body = '{"id":"net","mac":"02:00:00:00:00:01","num_queues":2}'
        request = ch_remote("PUT", "vm.add-net", body)
        with open("/dev/null", "rb") as null:
            for split in (1, request.index(b"\r\n\r\n") + 4, len(request) - 1):
                client = api_test.Client(vmm.path)
                client.send(request[:split], [null.fileno()])
                client.send(request[split:])
                self.hear(client, 204, None)
                client.close()
                vmm.settles_at(before + 1)
                self.assertEqual(vmm.call("PUT", "vm.remove-device", {"id": "net"})[0], 204)
                vmm.settles_at(before)

    @unittest.skipIf(shutil.which("curl") is None, "no curl here")
    def test_curl_itself(self):
        vmm = self.vmm("--api-socket", "path=FOLDER/api", "--event-monitor", "path=FOLDER/events")
        config = vmm.folder.name + "/vm.json"
        with open(config, "w", encoding="utf-8") as file:
            json.dump({**api_test.CONFIG, "console": {"mode": "Null"}}, file)

        def run(name, *options, code=0):
            done = subprocess.run(["curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "60",
                                   "--unix-socket", vmm.path, *options, "http://localhost/api/v1/" + name],
                                  capture_output=True, check=False)
            self.assertEqual(done.returncode, code, done.stderr)
            return done.stdout

        put = ("-X", "PUT")
        data = ("-H", "Content-Type: application/json", "-d")
        self.assertIn("version", json.loads(run("vmm.ping")))
        run("vm.info", code=22)
        self.assertEqual(run("vm.create", *put, *data, "@" + config), b"")
        self.assertEqual(json.loads(run("vm.info"))["state"], "Created")
        self.assertIn("could not boot", json.loads(run("vm.boot", *put, code=22))[1])
        self.assertEqual(run("vm.add-vsock", *put, *data, '{"cid":3,"socket":"/nowhere/v"}'), b"")
        self.assertIn(b"not running", run("vm.power-button", *put, code=22))
        self.assertEqual(run("vm.delete", *put), b"")
        # A body of more than 1 MiB: curl asks first whether it may send it.
        with open(config, "a", encoding="utf-8") as file:
            file.write(" " * (2 << 20))
        self.assertEqual(run("vm.create", "-T", config), b"")
        self.assertEqual(run("vmm.shutdown", *put), b"")
        self.assertEqual(vmm.end(None), (0, ""))

    def test_pipelined(self):
        vmm = self.vmm()
        client = api_test.Client(vmm.path)
        self.addCleanup(client.close)
        config = json.dumps({"payload": {"kernel": "k"}, "console": {"mode": "Null"}})
        client.send(PING + ch_remote("PUT", "vm.create", config) + ch_remote("GET", "vm.info", None) +
                    ch_remote("PUT", "vm.delete", None) + ch_remote("GET", "vm.info", None))
        self.hear(client, 200, '"*"')
        self.hear(client, 204, None)
        self.hear(client, 200, '{"config":"*","state":"Created","memory_actual_size":536870912}')
        self.hear(client, 204, None)
        self.hear(client, 404, '"*"')

    def test_a_byte_at_a_time(self):
        vmm = self.vmm()
        client = api_test.Client(vmm.path)
        self.addCleanup(client.close)
        for byte in ch_remote("PUT", "vm.create", '{"payload":{"kernel":"k"},"console":{"mode":"Null"}}'):
            client.send(bytes([byte]))
        self.hear(client, 204, None)

    def test_half_closed(self):
        vmm = self.vmm()
        for request, answered in ((PING, True), (PING[:-1], False), (b"", False)):
            client = api_test.Client(vmm.path)
            self.addCleanup(client.close)
            client.send(request) if request else None
            client.socket.shutdown(socket.SHUT_WR)
            self.assertEqual(self.receive_all(client).startswith(b"HTTP/1.1 200 OK"), answered)

    def test_clients_that_go_in_the_middle(self):
        vmm = self.vmm()
        vmm.call("PUT", "vm.create", {**api_test.CONFIG, "console": {"mode": "Null"}})
        before = vmm.settled_fds()
        request = ch_remote("PUT", "vm.add-net", '{"id":"lost"}')
        for end in (1, 20, len(request) - 1):
            for abrupt in (False, True):
                client = api_test.Client(vmm.path)
                client.send(request[:end], [0] * 3)
                if abrupt:
                    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()
        for _ in range(20):  # the answer finds nobody
            client = api_test.Client(vmm.path)
            client.send(ch_remote("GET", "vm.info", None))
            client.close()
        vmm.settles_at(before)
        self.assertNotIn("net", vmm.call("GET", "vm.info")[1]["config"])

    def test_too_much(self):
        vmm = self.vmm()
        for request, status in ((b"GET /" + b"x" * (1 << 20), b"400"), (b"X: " * 10000, b"400"),
                                (b"PUT /api/v1/vm.create HTTP/1.1\r\nContent-Length: 5000000\r\n\r\n", b"413"),
                                (ch_remote("PUT", "vm.create", '{"a":' * 500000), b"400"),
                                (ch_remote("PUT", "vm.create", '{"disks":[' + "{}," * 1000000 + "{}]}"), b"400"),
                                (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\r\n\r\n", b"400"),
                                (b"\0" * 100, b"400")):
            with self.subTest(request[:40]):
                client = api_test.Client(vmm.path)
                self.addCleanup(client.close)
                try:
                    client.send(request)
                except OSError:
                    continue  # it was told to go before it had said all
                self.assertEqual(client.socket.recv(12), b"HTTP/1.1 " + status)
                client.close()
        self.assertEqual(vmm.call("GET", "vmm.ping")[0], 200)

    def test_who_dawdles_holds_nobody_up(self):
        vmm = self.vmm()
        slow = [api_test.Client(vmm.path) for _ in range(10)]
        for at, client in enumerate(slow):
            self.addCleanup(client.close)
            client.send(PING[:at + 1])
        begin = time.monotonic()
        for _ in range(50):
            self.assertEqual(vmm.call("GET", "vmm.ping")[0], 200)
        self.assertLess(time.monotonic() - begin, 25)  # and they have 30
        for at, client in enumerate(slow):
            client.send(PING[at + 1:])
            self.hear(client, 200, '"*"')

    def test_who_reads_nothing_holds_nobody_up(self):
        vmm = self.vmm()
        deaf = api_test.Client(vmm.path)
        self.addCleanup(deaf.close)
        deaf.socket.setblocking(False)
        try:
            for _ in range(100000):
                deaf.socket.send(PING)
        except BlockingIOError:
            pass
        self.assertEqual(vmm.call("GET", "vmm.ping")[0], 200)


if __name__ == "__main__":
    api_test.COMMAND = sys.argv[1:]
    unittest.main(argv=sys.argv[:1], verbosity=2)
