// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Connections of messages.

#include <vector>

#include "rig.h"

namespace vmm::virtio_vsock {
namespace {

PacketHeader message(Op op, std::uint32_t flags = 0) {
  PacketHeader header = Rig::packet(op);
  header.type = SocketType::kSeqpacket;
  header.flags = flags;
  return header;
}

std::string text_of(std::size_t bytes) {
  std::string text(bytes, '\0');
  for (std::size_t i = 0; i < bytes; ++i) text[i] = static_cast<char>(i * 7 + bytes);
  return text;
}

TEST_CASE("messages keep their boundaries in both directions", "[vsock]") {
  Rig rig;
  const HostProgram program = rig.open(kGuestPort, SocketType::kSeqpacket);
  rig.send(message(Op::kData, kEndOfMessage), "one");
  rig.send(message(Op::kData), "tw");
  rig.send(message(Op::kData), "o, ");
  rig.send(message(Op::kData, kEndOfMessage | kEndOfRecord), "in parts");
  CHECK(program.read() == "one");
  CHECK(program.read() == "two, in parts");
  CHECK(program.read().empty());
  for (const std::size_t bytes : std::vector<std::size_t>{1, 4096, 4097, 70'000, 200'000}) {
    CAPTURE(bytes);
    const std::string sent = text_of(bytes);
    REQUIRE(program.send(sent) == static_cast<ssize_t>(bytes));
    rig.driver.run();
    std::string got;
    std::uint32_t flags = 0;
    while (auto packet = rig.receive()) {
      CHECK(flags == 0);
      flags = packet->header.flags;
      got += packet->payload;
      rig.driver.run();
    }
    CHECK((flags & kEndOfMessage) != 0);
    CHECK(got == sent);
    PacketHeader update = message(Op::kCreditUpdate);
    update.buf_alloc = 1 << 20;
    rig.send(update);
  }
}

TEST_CASE("an empty message is no message", "[vsock]") {
  Rig rig;
  const HostProgram program = rig.open(kGuestPort, SocketType::kSeqpacket);
  rig.send(message(Op::kData, kEndOfMessage));
  rig.send(message(Op::kData, kEndOfMessage), "next");
  CHECK(program.read() == "next");
  rig.send(message(Op::kData), "begun");
  rig.send(message(Op::kData, kEndOfMessage));
  CHECK(program.read() == "begun");
}

TEST_CASE("messages wait for a slow host, with their boundaries", "[vsock]") {
  Rig rig;
  const HostProgram program = rig.open(kGuestPort, SocketType::kSeqpacket);
  std::vector<std::size_t> sizes;
  std::size_t total = 0;
  for (const auto bytes :
       std::vector<std::size_t>{1, 62, 63, 64, 65, 8191, 8192, 40'000, 1, 1, 1, 2, 3}) {
    for (int i = 0; i < 4; ++i) sizes.push_back(bytes);
  }
  for (const std::size_t bytes : sizes) {
    rig.send(message(Op::kData, kEndOfMessage), text_of(bytes));
    total += bytes;
  }
  PacketHeader shutdown = message(Op::kShutdown);
  shutdown.flags = kShutdownSend;
  rig.send(message(Op::kData), "a message without its end is none");
  rig.send(shutdown);
  for (const std::size_t bytes : sizes) {
    CHECK(program.read() == text_of(bytes));
    rig.driver.run();
  }
  CHECK(program.at_end());
  rig.send(message(Op::kCreditRequest));
  std::uint32_t forwarded = 0;
  while (auto packet = rig.receive()) forwarded = packet->header.fwd_cnt;
  CHECK(forwarded == total);
}

TEST_CASE("as many small messages as the buffer has bytes", "[vsock][hostile]") {
  Limits limits;
  limits.large_buffers = 0;
  limits.small_buffer_bytes = 2000;
  Rig rig({.limits = limits});
  const HostProgram program = rig.open(kGuestPort, SocketType::kSeqpacket);
  int sent = 0;
  for (; sent < 5000; ++sent) {
    rig.send(message(Op::kData, kEndOfMessage), "x");
    const auto packet = rig.receive();
    if (packet && packet->header.op == Op::kReset) break;
  }
  CHECK(sent >= 2000);  // the rest is in the socket
  CHECK(sent < 5000);
  rig.listener = {};
}

TEST_CASE("a message that the guest could never take resets the connection", "[vsock]") {
  Rig rig;
  const HostProgram program = rig.open(kGuestPort, SocketType::kSeqpacket);
  PacketHeader update = message(Op::kCreditUpdate);
  update.buf_alloc = 1000;
  rig.send(update);
  REQUIRE(program.send(text_of(1000)) == 1000);
  rig.driver.run();
  CHECK(rig.expect(Op::kData).payload.size() == 1000);
  rig.expect(Op::kCreditRequest);
  update.fwd_cnt = 1000;
  rig.send(update);
  REQUIRE(program.send(text_of(1001)) == 1001);
  rig.driver.run();
  rig.expect(Op::kReset);
  CHECK(program.at_end());
}

TEST_CASE("the end of the host's messages reaches the guest", "[vsock]") {
  Rig rig;
  HostProgram program = rig.open(kGuestPort, SocketType::kSeqpacket);
  REQUIRE(program.send("last") == 4);
  SECTION("of one direction") {
    program.shutdown(SHUT_WR);
    rig.driver.run();
    CHECK(rig.expect(Op::kData).payload == "last");
    CHECK(rig.expect(Op::kShutdown).header.flags == kShutdownSend);
    rig.send(message(Op::kData, kEndOfMessage), "answer");
    CHECK(program.read() == "answer");
  }
  SECTION("of both, with something unread") {
    rig.send(message(Op::kData, kEndOfMessage), "unread");
    CHECK(rig.expect(Op::kData).payload == "last");
    REQUIRE(program.send("more") == 4);
    program.close();
    rig.driver.run();
    CHECK(rig.expect(Op::kData).payload == "more");
    CHECK(rig.expect(Op::kShutdown).header.flags == kShutdownBoth);
  }
}

}  // namespace
}  // namespace vmm::virtio_vsock
