// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Much data, slow readers, many connections: what waits is bounded, and nothing is lost.

#include <algorithm>
#include <numeric>
#include <vector>

#include "rig.h"

namespace vmm::virtio_vsock {
namespace {

constexpr std::uint32_t kLarge = Limits{}.buffer_bytes;

// Bytes at their places in a long stream.
std::string pattern(std::size_t at, std::size_t count) {
  std::string bytes(count, '\0');
  for (std::size_t i = 0; i < count; ++i) bytes[i] = static_cast<char>((at + i) * 31 >> 3);
  return bytes;
}

/// The guest's side of one stream, which respects the device's credit.
struct GuestStream {
  Rig& rig;
  std::uint32_t port = kGuestPort;
  std::uint32_t buf_alloc = kLarge;
  std::uint32_t sent = 0;
  std::uint32_t peer_forwarded = 0;
  std::uint32_t peer_buffer = 0;
  std::string received{};

  [[nodiscard]] PacketHeader packet(Op op) const {
    PacketHeader header = Rig::packet(op, port);
    header.buf_alloc = buf_alloc;
    header.fwd_cnt = static_cast<std::uint32_t>(received.size());
    return header;
  }
  [[nodiscard]] std::uint32_t credit() const { return peer_buffer - (sent - peer_forwarded); }
  void ask_for_credit() {
    rig.send(packet(Op::kCreditRequest));
    take_all();
  }
  void take_all() {
    while (auto got = rig.receive()) {
      peer_forwarded = got->header.fwd_cnt;
      peer_buffer = got->header.buf_alloc;
      received += got->payload;
    }
  }
  /// As much as there is credit for, at most `bytes`.
  std::uint32_t send(std::uint32_t bytes) {
    bytes = std::min({bytes, credit(), std::uint32_t{64 << 10}});
    if (bytes == 0) return 0;
    rig.send(packet(Op::kData), pattern(sent, bytes));
    sent += bytes;
    take_all();
    return bytes;
  }
};

TEST_CASE("the guest sends to a slow host: up to its buffer, and nothing is lost", "[vsock]") {
  Rig rig;
  const HostProgram program = rig.open();
  GuestStream guest{rig};
  guest.ask_for_credit();
  CHECK(guest.peer_buffer == kLarge);
  constexpr std::uint32_t kTotal = 4 << 20;
  std::string got;
  bool stalled = false;
  while (got.size() < kTotal) {
    while (guest.sent < kTotal && guest.send(kTotal - guest.sent) != 0) {
    }
    if (guest.sent < kTotal && guest.credit() == 0) stalled = true;
    CHECK(guest.sent - got.size() <= kLarge + (512 << 10));  // the rest is in the kernel's socket
    got += program.read(100'000);
    rig.driver.run();
    guest.take_all();
  }
  CHECK(stalled);
  CHECK(got == pattern(0, kTotal));
}

TEST_CASE("what waits for a slow host is followed by the end", "[vsock]") {
  Rig rig;
  const HostProgram program = rig.open();
  GuestStream guest{rig};
  guest.ask_for_credit();
  while (guest.send(kLarge) != 0) {
  }
  PacketHeader shutdown = guest.packet(Op::kShutdown);
  std::string got = program.read(1);
  SECTION("of one direction") {
    shutdown.flags = kShutdownSend;
    rig.send(shutdown);
    CHECK(program.send("back") == 4);
  }
  SECTION("of both, and then a reset") {
    shutdown.flags = kShutdownBoth;
    rig.send(shutdown);
    rig.expect_nothing();  // not yet
  }
  SECTION("of both, and the guest does not wait for the reset") {
    shutdown.flags = kShutdownBoth;
    rig.send(shutdown);
    rig.send(guest.packet(Op::kReset));
    const HostProgram next = rig.open();  // the ports are free again
    rig.send(Rig::packet(Op::kData), "next");
    CHECK(next.read() == "next");
  }
  for (int i = 0; i < 1000 && !program.at_end(); ++i) {
    got += program.read(50'000);
    rig.driver.run();
  }
  CHECK(got == pattern(0, guest.sent));
  if (shutdown.flags == kShutdownBoth && rig.receive()) return;
  guest.take_all();
}

TEST_CASE("a host that never reads does not keep the guest's connection for ever", "[vsock]") {
  Rig rig({.limits = {.linger = std::chrono::milliseconds(100)}});
  const HostProgram program = rig.open();
  GuestStream guest{rig};
  guest.ask_for_credit();
  while (guest.send(kLarge) != 0) {
  }
  PacketHeader shutdown = guest.packet(Op::kShutdown);
  shutdown.flags = kShutdownBoth;
  rig.send(shutdown);
  SECTION("that waits for its reset") { rig.await(Op::kReset); }
  SECTION("that is gone") {
    rig.send(guest.packet(Op::kReset));
    rig.run_for(std::chrono::milliseconds(300));
    rig.expect_nothing();
  }
  std::string got;
  for (int i = 0; i < 1000 && !program.at_end(); ++i) got += program.read();
  CHECK(got.size() < guest.sent);
}

TEST_CASE("a guest that overruns its credit loses that connection alone", "[vsock][hostile]") {
  Rig rig;
  const HostProgram other = rig.open(1);
  const HostProgram program = rig.open();
  GuestStream guest{rig};
  guest.ask_for_credit();
  while (guest.send(kLarge) != 0) {
  }
  REQUIRE(guest.credit() == 0);
  rig.send(guest.packet(Op::kData), "x");
  rig.expect(Op::kReset);
  rig.send(Rig::packet(Op::kData, 1), "fine");
  CHECK(other.read() == "fine");
}

TEST_CASE("a guest that lies about what it received loses that connection alone",
          "[vsock][hostile]") {
  Rig rig;
  const HostProgram other = rig.open(1);
  const HostProgram program = rig.open();
  REQUIRE(program.send("four") == 4);
  rig.driver.run();
  rig.expect(Op::kData);
  PacketHeader update = Rig::packet(Op::kCreditUpdate);
  update.fwd_cnt = 5;
  rig.send(update);
  rig.expect(Op::kReset);
  CHECK(program.at_end());
  PacketHeader request = Rig::packet(Op::kRequest);
  request.fwd_cnt = 1;
  rig.send(request);
  rig.expect(Op::kReset);
  rig.send(Rig::packet(Op::kData, 1), "fine");
  CHECK(other.read() == "fine");
}

TEST_CASE("the host sends to a slow guest: up to the guest's buffer, and nothing is lost",
          "[vsock]") {
  Rig rig;
  const HostProgram program = rig.open();
  GuestStream guest{.rig = rig, .buf_alloc = 10'000};
  rig.send(guest.packet(Op::kCreditUpdate));
  constexpr std::size_t kTotal = 300'000;
  std::size_t sent = 0;
  while (guest.received.size() < kTotal) {
    if (sent < kTotal) {
      const ssize_t more =
          program.send(pattern(sent, std::min<std::size_t>(50'000, kTotal - sent)));
      if (more > 0) sent += static_cast<std::size_t>(more);
    }
    rig.driver.run();
    std::size_t in_flight = 0;
    bool asked = false;
    while (auto packet = rig.receive()) {
      if (packet->header.op == Op::kCreditRequest) {
        CHECK_FALSE(asked);
        asked = true;
        continue;
      }
      CHECK(packet->header.op == Op::kData);
      in_flight += packet->payload.size();
      guest.received += packet->payload;
    }
    CHECK(in_flight <= 10'000);
    rig.send(guest.packet(Op::kCreditUpdate));
  }
  CHECK(guest.received == pattern(0, kTotal));
}

TEST_CASE("a guest without buffers gets everything later, in turns", "[vsock]") {
  Rig rig({.rx_buffers = 0});
  rig.listener = HostProgram::listen(rig.path + "_1024");
  std::vector<HostProgram> programs;
  for (std::uint32_t port = 1; port <= 3; ++port) {
    rig.send(Rig::packet(Op::kRequest, port));
    programs.push_back(rig.listener.accept());
    REQUIRE(programs.back().send(std::string(5 * 4096, static_cast<char>('0' + port))) == 5 * 4096);
  }
  rig.driver.run();
  rig.refills = false;
  std::string order;
  for (int i = 0; i < 3 + 3 * 5; ++i) {
    rig.offer_rx();
    rig.driver.run();
    const auto packet = rig.receive();
    REQUIRE(packet);
    if (packet->header.op == Op::kResponse) continue;
    CHECK(packet->payload == std::string(4096, static_cast<char>('0' + packet->header.dst_port)));
    order += static_cast<char>('0' + packet->header.dst_port);
  }
  CHECK(order == "123123123123123");
}

TEST_CASE("data is spread over whatever pieces the driver's buffers have", "[vsock]") {
  Rig rig({.rx_buffers = 1});
  const HostProgram program = rig.open();
  (void)rig.driver.receive(kRx);
  PacketHeader data = Rig::packet(Op::kData);
  data.len = 9;
  const Bytes wire = bytes_of(data.wire());
  rig.send_raw({.readable = {Bytes(wire.begin(), wire.begin() + 20),
                             {},
                             Bytes(wire.begin() + 20, wire.end()),
                             bytes_of("one"),
                             bytes_of("two"),
                             bytes_of("threefour")},
                .writable = {}});
  CHECK(program.read() == "onetwothr");  // its header says how much
  rig.send(Rig::packet(Op::kCreditRequest));
  rig.expect(Op::kCreditUpdate);
  rig.driver.run();
  REQUIRE(program.send("a longer text for the guest") == 27);
  rig.driver.run();
  CHECK(rig.expect(Op::kData).payload == "a longer text for the guest");
  rig.refills = false;
  rig.send(Rig::packet(Op::kCreditRequest));
  rig.expect(Op::kCreditUpdate);
  REQUIRE(rig.driver.send(kRx, {.readable = {}, .writable = {10, 30, 0, 8, 1, 100}}));
  REQUIRE(program.send("another text") == 12);
  rig.driver.run();
  CHECK(rig.expect(Op::kData).payload == "another text");
}

TEST_CASE("a thousand connections, from both sides", "[vsock]") {
  Limits limits;
  limits.connections = 1000;
  limits.clients = 8;
  Rig rig({.limits = limits});
  rig.listener = HostProgram::listen(rig.path + "_1024");
  std::vector<HostProgram> hosts;
  std::vector<std::pair<std::uint32_t, std::uint32_t>> ports;  // guest's, host's
  for (std::uint32_t i = 0; i < 400; ++i) {
    hosts.push_back(rig.open(10'000 + i));
    ports.emplace_back(10'000 + i, kHostPort);
  }
  for (std::uint32_t i = 0; i < 600; ++i) {
    hosts.push_back(HostProgram::connect(rig.path));
    const Packet request = rig.ask(hosts.back());
    ports.emplace_back(5000, request.header.src_port);
    rig.send(Rig::packet(Op::kResponse, 5000, request.header.src_port));
    CHECK(hosts.back().read().starts_with("OK "));
  }
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    const std::string text = "to " + std::to_string(i);
    rig.send(Rig::packet(Op::kData, ports[i].first, ports[i].second), text);
    CHECK(hosts[i].read() == text);
    REQUIRE(hosts[i].send(text) > 0);
  }
  rig.driver.run();
  std::vector<std::string> answers;
  while (auto packet = rig.receive()) {
    if (packet->header.op == Op::kData) answers.push_back(packet->payload);
    rig.driver.run();
  }
  CHECK(answers.size() == 1000);
  // The next one is refused, whoever asks.
  rig.send(Rig::packet(Op::kRequest, 9'999));
  rig.expect(Op::kReset);
  const HostProgram late = HostProgram::connect(rig.path);
  REQUIRE(late.send("CONNECT 5000\n") == 13);
  rig.driver.run();
  CHECK(late.at_end());
  rig.send(Rig::packet(Op::kReset, 10'000));
  CHECK(rig.open(9'999));
}

// The number that docs/threat-model.md gives.
TEST_CASE("all connections together hold a bounded number of bytes", "[vsock]") {
  CHECK(Limits{}.most_held() == std::uint64_t{376} << 20);
  constexpr Limits kFew{
      .connections = 3, .buffer_bytes = 1000, .large_buffers = 2, .small_buffer_bytes = 10};
  CHECK(kFew.most_held() == 2 * 2010 + 3 * Limits::kMaxMessage);
  constexpr Limits kOne{.connections = 1, .buffer_bytes = 1000};
  CHECK(kOne.most_held() == 2000 + Limits::kMaxMessage);
}

TEST_CASE("only the first connections have large buffers", "[vsock]") {
  Limits limits;
  limits.large_buffers = 2;
  Rig rig({.limits = limits});
  rig.listener = HostProgram::listen(rig.path + "_1024");
  const auto buffer_of = [&](std::uint32_t port) {
    rig.send(Rig::packet(Op::kRequest, port));
    return rig.expect(Op::kResponse).header.buf_alloc;
  };
  CHECK(buffer_of(1) == limits.buffer_bytes);
  CHECK(buffer_of(2) == limits.buffer_bytes);
  CHECK(buffer_of(3) == limits.small_buffer_bytes);
  rig.send(Rig::packet(Op::kReset, 3));
  CHECK(buffer_of(4) == limits.small_buffer_bytes);
  rig.send(Rig::packet(Op::kReset, 1));
  CHECK(buffer_of(5) == limits.buffer_bytes);
  CHECK(buffer_of(6) == limits.small_buffer_bytes);
}

}  // namespace
}  // namespace vmm::virtio_vsock
