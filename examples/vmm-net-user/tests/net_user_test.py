#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
"""Tests of vmm-net-user, with a guest's network stack of a few lines.

net_user_test.py COMMAND...: the program, behind what runs it where it cannot run by itself."""
import os
import socket
import struct
import subprocess
import sys
import threading
import unittest

COMMAND: list[str] = []
PATIENCE = 60  # seconds, for what has to come: the machine may be busy with something else
GUEST_MAC = bytes.fromhex("020000000001")
GUEST, HOST = "10.0.2.15", "10.0.2.2"
TCP, UDP = 6, 17
FIN, SYN, PSH, ACK = 1, 2, 8, 16
HEADER = 12  # bytes of the virtio header
NEEDS_CSUM, DATA_VALID, GSO_TCP4, GSO_UDP = 1, 2, 1, 3


def ones_sum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total > 0xffff:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


class Guest:
    """Starts the program, and speaks Ethernet with it."""

    def __init__(self, *options):
        self.has_header = "--vnet-header" in options
        self.wire, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.process = subprocess.Popen([*COMMAND, f"--fd={theirs.fileno()}", *options],
                                        pass_fds=[theirs.fileno()], stderr=subprocess.PIPE)
        theirs.close()
        self.wire.settimeout(PATIENCE)
        self.gateway_mac = b"\xff" * 6

    def ready(self):
        return self.wire.recv(65536) == b"\0"

    def end(self):
        self.wire.close()
        errors = self.process.stderr.read().decode()
        self.process.stderr.close()
        return self.process.wait(PATIENCE), errors

    def send(self, kind, payload, header=bytes(HEADER)):
        self.wire.send((header if self.has_header else b"") + self.gateway_mac + GUEST_MAC
                       + struct.pack(">H", kind) + payload)

    def take_frame(self):
        message = self.wire.recv(70000)
        if not self.has_header:
            return message
        if message[:HEADER] != bytes([DATA_VALID]) + bytes(HEADER - 1):
            raise AssertionError(f"a header of {message[:HEADER]!r}")
        return message[HEADER:]

    def receive(self, kind):
        """The next frame of this kind; ARP questions about the guest are answered."""
        while True:
            frame = self.take_frame()
            got, payload = struct.unpack(">H", frame[12:14])[0], frame[14:]
            if got == 0x806 and payload[6:8] == b"\0\1" and \
                    payload[24:28] == socket.inet_aton(GUEST):
                self.gateway_mac = payload[8:14]
                self.send(0x806, payload[:6] + b"\0\2" + GUEST_MAC + payload[24:28]
                          + payload[8:18])
            if got == kind:
                return payload

    def resolve(self, address):
        self.send(0x806, bytes.fromhex("0001080006040001") + GUEST_MAC
                  + socket.inet_aton(GUEST) + bytes(6) + socket.inet_aton(address))
        while True:
            answer = self.receive(0x806)
            if answer[6:8] == b"\0\2" and answer[14:18] == socket.inet_aton(address):
                self.gateway_mac = answer[8:14]
                return

    def send_ip(self, protocol, source, target, payload):
        source, target = socket.inet_aton(source), socket.inet_aton(target)
        header = struct.pack(">BBHHHBBH", 0x45, 0, 20 + len(payload), 7, 0, 64, protocol, 0)
        header = header[:10] + struct.pack(">H", ones_sum(header + source + target))
        at = 16 if protocol == TCP else 6
        pseudo = source + target + struct.pack(">BBH", 0, protocol, len(payload))
        checksum = ones_sum(pseudo + payload)
        virtio = bytes(HEADER)
        if self.has_header and protocol == TCP:  # the network computes it, from the sum of the pseudo header
            checksum = ~ones_sum(pseudo) & 0xffff
            virtio = struct.pack("<BBHHHHH", NEEDS_CSUM, GSO_TCP4 if len(payload) > 1480 else 0, 54, 1460, 34, at, 0)
        payload = payload[:at] + struct.pack(">H", checksum) + payload[at + 2:]
        self.send(0x800, header + source + target + payload, virtio)

    def receive_ip(self, protocol):
        while True:
            packet = self.receive(0x800)
            if packet[9] == protocol:
                size = struct.unpack(">H", packet[2:4])[0]
                return packet[20:size]


class Tcp:
    """One connection of the guest."""

    def __init__(self, guest, port, target=(HOST, 0)):
        self.guest, self.port, self.target = guest, port, target
        self.next, self.expected = 1000, 0

    def send(self, flags, data=b""):
        segment = struct.pack(">HHIIBBHHH", self.port, self.target[1], self.next, self.expected,
                              0x50, flags, 64240, 0, 0) + data
        self.guest.send_ip(TCP, GUEST, self.target[0], segment)
        self.next += len(data) + (1 if flags & (SYN | FIN) else 0)

    def receive(self):
        """The flags and the data of the next segment that brings something."""
        while True:
            segment = self.guest.receive_ip(TCP)
            source, target, sequence, _, offset, flags = struct.unpack(">HHIIBB", segment[:14])
            if target != self.port:
                continue
            data = segment[(offset >> 4) * 4:]
            if flags & SYN:
                self.expected = sequence
                self.target = (self.target[0], source)
            if sequence != self.expected:
                continue
            self.expected += len(data) + (1 if flags & (SYN | FIN) else 0)
            if data or flags & (SYN | FIN):
                return flags, data


def free_port(kind=socket.SOCK_STREAM):
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class NetUserTest(unittest.TestCase):
    def start(self, *options):
        guest = Guest(*options)
        self.addCleanup(guest.process.kill)
        self.assertTrue(guest.ready())
        return guest

    def test_arp(self):
        guest = self.start()
        guest.resolve(HOST)
        self.assertNotEqual(guest.gateway_mac, b"\xff" * 6)
        self.assertEqual(guest.end()[0], 0)  # what is sent to a guest that left may be told

    def test_dhcp(self):
        guest = self.start("--mtu=1400")
        discover = struct.pack(">BBBBIHHIIII", 1, 1, 6, 0, 0x1234, 0, 0x8000, 0, 0, 0, 0) \
            + GUEST_MAC + bytes(10 + 192) + bytes.fromhex("63825363 350101 ff")
        guest.send_ip(UDP, "0.0.0.0", "255.255.255.255",
                      struct.pack(">HHHH", 68, 67, 8 + len(discover), 0) + discover)
        answer = guest.receive_ip(UDP)[8:]
        self.assertEqual(socket.inet_ntoa(answer[16:20]), GUEST)
        self.assertIn(bytes([3, 4]) + socket.inet_aton(HOST), answer)
        self.assertIn(bytes([6, 4]) + socket.inet_aton("10.0.2.3"), answer)
        self.assertEqual(guest.end()[0], 0)  # what is sent to a guest that left may be told

    def test_tcp_to_the_host(self):
        self.say_hello()

    def test_checksums_that_are_left_to_the_network(self):
        self.say_hello("--vnet-header")

    def say_hello(self, *options):
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)

        def serve():
            peer, _ = server.accept()
            with peer:
                peer.sendall(peer.recv(100).upper())

        thread = threading.Thread(target=serve)
        thread.start()
        guest = self.start(*options)
        guest.resolve(HOST)
        tcp = Tcp(guest, 4000, (HOST, server.getsockname()[1]))
        tcp.send(SYN)
        self.assertEqual(tcp.receive()[0] & (SYN | ACK), SYN | ACK)
        tcp.send(ACK)
        tcp.send(ACK | PSH, b"hello")
        self.assertEqual(tcp.receive()[1], b"HELLO")
        thread.join()
        self.assertEqual(guest.end()[0], 0)  # what is sent to a guest that left may be told

    def test_segments_that_are_left_to_the_network(self):
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        guest = self.start("--vnet-header")
        guest.resolve(HOST)
        tcp = Tcp(guest, 4000, (HOST, server.getsockname()[1]))
        tcp.send(SYN)
        tcp.receive()
        tcp.send(ACK)
        peer, _ = server.accept()
        self.addCleanup(peer.close)
        data = os.urandom(65535 - 40)
        tcp.send(ACK | PSH, data[:30001])
        tcp.send(ACK | PSH, data[30001:])
        self.assertEqual(peer.recv(len(data), socket.MSG_WAITALL), data)
        tcp.send(ACK | PSH, data)  # the longest packet
        self.assertEqual(peer.recv(len(data), socket.MSG_WAITALL), data)
        self.assertEqual(guest.end()[0], 0)

    def test_a_guest_that_no_longer_listens_is_told_of(self):
        guest = self.start()
        guest.wire.shutdown(socket.SHUT_RD)
        guest.send(0x806, bytes.fromhex("0001080006040001") + GUEST_MAC
                   + socket.inet_aton(GUEST) + bytes(6) + socket.inet_aton(HOST))
        status, errors = guest.end()
        self.assertEqual(status, 0, errors)
        self.assertIn("Failed to send packet", errors)

    def test_headers_that_are_none(self):
        guest = self.start("--vnet-header")
        frame = bytes(12) + b"\x08\0" + b"\x45" * 60
        for flags, kind, start, offset in ((NEEDS_CSUM, 0, 74, 0), (NEEDS_CSUM, 0, 73, 0), (NEEDS_CSUM, 0, 0xffff, 0xffff),
                                           (NEEDS_CSUM, 0, 34, 0xffff), (0, GSO_TCP4, 0, 0), (NEEDS_CSUM, GSO_UDP, 34, 6),
                                           (0xff, 0xff, 34, 16)):
            guest.wire.send(struct.pack("<BBHHHHH", flags, kind, 0, 0, start, offset, 0) + frame)
        for message in (b"\0", bytes(HEADER), bytes(HEADER + 1), bytes(HEADER + 13), b"\xff" * 66000):
            guest.wire.send(message)
        guest.resolve(HOST)
        self.assertEqual(guest.end()[0], 0)

    def test_tcp_from_the_host(self):
        port = free_port()
        guest = self.start(f"--hostfwd=tcp:{port}:80")
        client = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.addCleanup(client.close)
        tcp = Tcp(guest, 80)
        self.assertEqual(tcp.receive()[0] & (SYN | ACK), SYN)
        tcp.send(SYN | ACK)
        client.sendall(b"question")
        self.assertEqual(tcp.receive()[1], b"question")
        tcp.send(ACK | PSH, b"answer")
        self.assertEqual(client.recv(100), b"answer")
        self.assertEqual(guest.end()[0], 0)  # what is sent to a guest that left may be told

    def test_udp_from_the_host(self):
        port = free_port(socket.SOCK_DGRAM)
        guest = self.start(f"--hostfwd=udp:127.0.0.1:{port}:53")
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(client.close)
        client.settimeout(PATIENCE)
        client.sendto(b"question", ("127.0.0.1", port))
        datagram = guest.receive_ip(UDP)
        source, target = struct.unpack(">HH", datagram[:4])
        self.assertEqual((target, datagram[8:]), (53, b"question"))
        guest.send_ip(UDP, GUEST, HOST, struct.pack(">HHHH", 53, source, 8 + 6, 0) + b"answer")
        self.assertEqual(client.recv(100), b"answer")
        self.assertEqual(guest.end()[0], 0)  # what is sent to a guest that left may be told

    def test_frames_that_are_none(self):
        guest = self.start()
        for frame in (b"\0", b"\xff" * 13, b"\xff" * 14, b"\xff" * 20, os.urandom(60),
                      b"\xff" * 65536, bytes(100000), bytes(12) + b"\x08\0" + b"\x4f" * 40):
            guest.wire.send(frame)
        guest.resolve(HOST)
        self.assertEqual(guest.end()[0], 0)

    def test_no_privileges_are_left(self):
        guest = self.start()
        with open(f"/proc/{guest.process.pid}/status", encoding="utf-8") as status:
            fields = dict(line.split(":", 1) for line in status)
        self.assertEqual(fields["NoNewPrivs"].strip(), "1")
        self.assertEqual(int(fields["CapEff"], 16), 0)
        self.assertEqual(int(fields["CapPrm"], 16), 0)
        self.assertNotIn("0", fields["Uid"].split())
        self.assertEqual(guest.end()[0], 0)  # what is sent to a guest that left may be told

    def test_no_other_system_calls_are_left(self):
        if not COMMAND[0].endswith("vmm-net-user") or "--seccomp=false" in COMMAND:
            self.skipTest("without a filter of system calls")
        guest = self.start()
        with open(f"/proc/{guest.process.pid}/status", encoding="utf-8") as file:
            self.assertIn("Seccomp:\t2\n", file.read())
        self.assertEqual(guest.end()[0], 0)

    def test_a_port_in_use(self):
        server = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(server.close)
        port = server.getsockname()[1]
        guest = Guest(f"--hostfwd=tcp:{port}:80")
        self.assertFalse(guest.ready())
        code, errors = guest.end()
        self.assertEqual(code, 1)
        self.assertIn(f"--hostfwd: port {port} of the host", errors)
        self.assertIn("Address already in use", errors)

    def test_the_command_line(self):
        for options in (["--fd=x"], ["--fd=-1"], ["--mtu=67", "--fd=3"], ["--fd"], [],
                        ["--hostfwd=tcp:0:1", "--fd=3"], ["--hostfwd=tcp:1", "--fd=3"],
                        ["--hostfwd=sctp:1:1", "--fd=3"], ["--hostfwd=tcp:1.2.3:1:1", "--fd=3"],
                        ["--hostfwd=tcp:1:65536", "--fd=3"], ["--other=1", "--fd=3"]):
            done = subprocess.run([*COMMAND, *options], stderr=subprocess.PIPE, check=False)
            self.assertEqual(done.returncode, 2, options)
            self.assertTrue(done.stderr.startswith(b"vmm-net-user: "), options)
        done = subprocess.run([*COMMAND, "--fd=99"], stderr=subprocess.PIPE, check=False)
        self.assertEqual(done.returncode, 1)


if __name__ == "__main__":
    COMMAND = sys.argv[1:]
    unittest.main(argv=sys.argv[:1])
