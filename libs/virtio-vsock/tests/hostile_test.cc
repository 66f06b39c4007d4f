// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Drivers and programs of the host that misbehave.

#include <vector>

#include "rig.h"
#include "vmm/virtio_device/testing/hostile_chains.h"

namespace vmm::virtio_vsock {
namespace {

using virtio_device::testing::hostile_chains;
using virtio_device::testing::HostileChain;
using virtio_device::testing::outlive;

TEST_CASE("chains that no driver sends", "[vsock][hostile]") {
  for (const bool packed : {false, true}) {
    for (const HostileChain& chain : hostile_chains()) {
      CAPTURE(packed, chain.name);
      Rig rig({.packed = packed, .rx_buffers = 8});
      CHECK(outlive(rig.driver, kTx, chain) == "");
      rig.check_alive();
      // The event queue is looked at when there is an event.
      (void)chain.send(rig.driver, kEvent);
      const auto good = rig.driver.send(kEvent, {.readable = {}, .writable = {4}});
      REQUIRE(good);
      rig.device->transport_reset();
      rig.driver.run();
      std::optional<virtio_device::testing::Answer> last;
      while (auto answer = rig.driver.receive(kEvent)) last = answer;
      REQUIRE(last);
      if (chain.malformed) CHECK(last->token == *good);
      rig.check_alive();
    }
  }
}

TEST_CASE("buffers for packets that have no room for one come back empty", "[vsock][hostile]") {
  Rig rig({.rx_buffers = 0});
  rig.refills = false;
  rig.listener = HostProgram::listen(rig.path + "_1024");
  for (const std::uint32_t bytes : {1u, 43u, 44u}) {
    REQUIRE(rig.driver.send(kRx, {.readable = {}, .writable = {bytes}}));
  }
  REQUIRE(rig.driver.send(kRx, {.readable = {Bytes(100)}, .writable = {}}));
  REQUIRE(rig.driver.send(kRx, {.readable = {Bytes(1)}, .writable = {100}}));
  REQUIRE(rig.driver.send(kRx, {.readable = {}, .writable = {45}}));
  rig.send(Rig::packet(Op::kRequest));
  for (int i = 0; i < 5; ++i) {
    const auto answer = rig.driver.receive(kRx);
    REQUIRE(answer);
    CHECK(answer->written == 0);
  }
  rig.expect(Op::kResponse);
  const HostProgram program = rig.listener.accept();
  REQUIRE(program.send("two") == 3);
  for (const char* text : {"t", "w", "o"}) {
    REQUIRE(rig.driver.send(kRx, {.readable = {}, .writable = {45}}));
    rig.driver.run();
    CHECK(rig.expect(Op::kData).payload == text);
  }
}

TEST_CASE("packets that are shorter than they say, or than a header", "[vsock][hostile]") {
  Rig rig;
  const HostProgram program = rig.open();
  const Bytes wire = bytes_of(Rig::packet(Op::kData).wire());
  for (std::size_t bytes = 0; bytes < kHeaderBytes; ++bytes) {
    rig.send_raw({.readable = {Bytes(wire.begin(), wire.begin() + static_cast<long>(bytes))},
                  .writable = {}});
  }
  rig.send_raw({.readable = {wire}, .writable = {64}});
  rig.expect_nothing();
  for (const std::uint32_t len : {5u, 4096u, 0x8000'0000u, 0xffff'ffffu}) {
    PacketHeader header = Rig::packet(Op::kData, 77);
    header.len = len;
    rig.send(header, "four");
    rig.expect(Op::kReset);
  }
  rig.send(Rig::packet(Op::kData), "good");
  CHECK(program.read() == "good");
  PacketHeader header = Rig::packet(Op::kData);
  header.len = 5;
  rig.send(header, "four");
  rig.expect(Op::kReset);
  CHECK(program.at_end());
  header = Rig::packet(Op::kRequest);
  header.len = 1;
  rig.send(header);
  rig.expect(Op::kReset);
  rig.check_alive();
}

TEST_CASE("a payload where none belongs is passed over", "[vsock][hostile]") {
  Rig rig;
  const HostProgram program = rig.open();
  rig.send(Rig::packet(Op::kCreditUpdate), "not data");
  rig.send(Rig::packet(Op::kData), "data");
  CHECK(program.read() == "data");
}

TEST_CASE("a driver that takes no answers is not served for ever", "[vsock][hostile]") {
  Rig rig({.rx_buffers = 0});
  rig.refills = false;
  const auto stray = [](std::uint32_t port) {
    return virtio_device::testing::Request{
        .readable = {bytes_of(Rig::packet(Op::kData, port).wire())}, .writable = {}};
  };
  std::uint32_t sent = 0;
  std::uint32_t back = 0;
  while (rig.driver.send(kTx, stray(sent))) {
    ++sent;
    rig.driver.run();
    while (rig.driver.receive(kTx)) ++back;
    REQUIRE(sent < 2000);
  }
  CHECK(back <= 1024);
  CHECK(sent - back >= 32);  // the rest of the ring waits
  // And when it does take them, every packet has had its answer.
  std::uint32_t answers = 0;
  while (answers < sent) {
    rig.offer_rx();
    rig.driver.run();
    while (rig.driver.receive(kTx)) continue;
    const Packet packet = rig.expect(Op::kReset);
    CHECK(packet.header.dst_port == answers);
    ++answers;
  }
}

TEST_CASE("packets that waited for room for answers go on after a transport reset",
          "[vsock][hostile]") {
  Rig rig({.rx_buffers = 0});
  rig.refills = false;
  const auto stray = [](std::uint32_t port) {
    return virtio_device::testing::Request{
        .readable = {bytes_of(Rig::packet(Op::kData, port).wire())}, .writable = {}};
  };
  std::uint32_t waiting = 0;
  for (std::uint32_t port = 0; rig.driver.send(kTx, stray(port)); ++port) {
    ++waiting;
    rig.driver.run();
    while (rig.driver.receive(kTx)) --waiting;
    REQUIRE(port < 2000);
  }
  REQUIRE(waiting != 0);
  rig.device->transport_reset();
  rig.driver.run();
  while (rig.driver.receive(kTx)) --waiting;
  CHECK(waiting == 0);
}

TEST_CASE("clients that do not say what they want", "[vsock][hostile]") {
  Limits limits;
  limits.clients = 4;
  Rig rig({.limits = limits});
  SECTION("but something else") {
    for (const char* text : {"GET / HTTP/1.1\r\n", "CONNECT x\n", "CONNECT 4294967295\n",
                             "CONNECT 11111111111111111111111111111111111111"}) {
      const HostProgram client = HostProgram::connect(rig.path);
      REQUIRE(client.send(text) > 0);
      rig.driver.run();
      CHECK(client.at_end());
    }
    rig.expect_nothing();
    rig.check_alive();
  }
  SECTION("at once") {
    const HostProgram client = HostProgram::connect(rig.path);
    for (const char* text : {"C", "ONN", "ECT", " 50", "00"}) {
      REQUIRE(client.send(text) > 0);
      rig.driver.run();
      rig.expect_nothing();
    }
    rig.ask(client, "\n");
  }
  SECTION("but go") {
    for (int i = 0; i < 20; ++i) {
      HostProgram client = HostProgram::connect(rig.path);
      REQUIRE(client.send("CONN") == 4);
      rig.driver.run();
      client.close();
      rig.driver.run();
    }
    const HostProgram client = HostProgram::connect(rig.path);
    rig.ask(client);
  }
}

TEST_CASE("clients that never say what they want have to go in time", "[vsock][hostile]") {
  Limits limits;
  limits.clients = 4;
  limits.greeting = std::chrono::milliseconds(400);
  Rig rig({.limits = limits});
  std::vector<HostProgram> clients;
  for (int i = 0; i < 10; ++i) {
    clients.push_back(HostProgram::connect(rig.path));
    REQUIRE(clients.back().send("CONNECT 1") == 9);
  }
  const HostProgram good = HostProgram::connect(rig.path);
  REQUIRE(good.send("CONNECT 5000\n") == 13);
  rig.driver.run();
  rig.expect_nothing();  // it waits behind them
  rig.await(Op::kRequest);
  for (const HostProgram& client : clients) CHECK(rig.ends(client));
}

}  // namespace
}  // namespace vmm::virtio_vsock
