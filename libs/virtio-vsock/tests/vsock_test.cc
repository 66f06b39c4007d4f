// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// What a guest and programs of the host see of the device when both behave.

#include <sys/stat.h>

#include <chrono>
#include <thread>

#include "rig.h"

namespace vmm::virtio_vsock {
namespace {

TEST_CASE("the configuration space is the guest's CID", "[vsock]") {
  Rig rig;
  CHECK(rig.driver.config<Le64>(0).get() == kGuestCid);
}

TEST_CASE("the guest connects to a program of the host, and both send", "[vsock]") {
  for (const bool packed : {false, true}) {
    Rig rig({.packed = packed});
    const HostProgram program = rig.open();
    rig.send(Rig::packet(Op::kData), "from the guest");
    CHECK(program.read() == "from the guest");
    REQUIRE(program.send("from the host") == 13);
    rig.driver.run();
    const Packet packet = rig.expect(Op::kData);
    CHECK(packet.payload == "from the host");
    CHECK(packet.header.src_port == kHostPort);
    CHECK(packet.header.dst_port == kGuestPort);
    CHECK(packet.header.fwd_cnt == 14);
    rig.expect_nothing();
  }
}

TEST_CASE("a program of the host connects to the guest, and both send", "[vsock]") {
  Rig rig;
  const HostProgram client = HostProgram::connect(rig.path);
  const Packet request = rig.ask(client, "CONNECT 5000\nearly");
  CHECK(request.header.dst_port == 5000);
  CHECK(request.header.type == SocketType::kStream);
  const std::uint32_t local = request.header.src_port;
  CHECK(client.read().empty());
  rig.send(Rig::packet(Op::kResponse, 5000, local));
  CHECK(client.read() == "OK " + std::to_string(local) + "\n");
  CHECK(rig.expect(Op::kData).payload == "early");
  rig.send(Rig::packet(Op::kData, 5000, local), "answer");
  CHECK(client.read() == "answer");
}

TEST_CASE("the guest is refused where nobody listens", "[vsock]") {
  Rig rig;
  rig.send(Rig::packet(Op::kRequest));
  const Packet answer = rig.expect(Op::kReset);
  CHECK(answer.header.src_port == kHostPort);
  CHECK(answer.header.dst_port == kGuestPort);
  rig.check_alive();
}

TEST_CASE("a client is closed when the guest refuses", "[vsock]") {
  Rig rig;
  const HostProgram client = HostProgram::connect(rig.path);
  const Packet request = rig.ask(client);
  rig.send(Rig::packet(Op::kReset, 5000, request.header.src_port));
  CHECK(client.at_end());
  rig.expect_nothing();
}

TEST_CASE("clients to one port of the guest have ports of their own", "[vsock]") {
  Rig rig;
  const HostProgram one = HostProgram::connect(rig.path);
  const HostProgram two = HostProgram::connect(rig.path);
  CHECK(rig.ask(one).header.src_port != rig.ask(two).header.src_port);
}

TEST_CASE("the end of what the host sends reaches the guest, which still sends", "[vsock]") {
  Rig rig;
  const HostProgram program = rig.open();
  REQUIRE(program.send("last words") == 10);
  program.shutdown(SHUT_WR);
  rig.driver.run();
  CHECK(rig.expect(Op::kData).payload == "last words");
  CHECK(rig.expect(Op::kShutdown).header.flags == kShutdownSend);
  rig.expect_nothing();
  rig.send(Rig::packet(Op::kData), "and the answer");
  CHECK(program.read() == "and the answer");
  PacketHeader shutdown = Rig::packet(Op::kShutdown);
  shutdown.flags = kShutdownSend;
  rig.send(shutdown);
  CHECK(program.at_end());
}

TEST_CASE("the end of what the guest sends reaches the host, which still sends", "[vsock]") {
  Rig rig;
  const HostProgram program = rig.open();
  rig.send(Rig::packet(Op::kData), "last words");
  PacketHeader shutdown = Rig::packet(Op::kShutdown);
  shutdown.flags = kShutdownSend;
  rig.send(shutdown);
  CHECK(program.read() == "last words");
  CHECK(program.at_end());
  REQUIRE(program.send("and the answer") == 14);
  rig.driver.run();
  CHECK(rig.expect(Op::kData).payload == "and the answer");
  rig.send(Rig::packet(Op::kData), "but");  // it said that it would not
  rig.expect(Op::kReset);
  rig.check_alive();
}

TEST_CASE("that the guest reads no more reaches the host, which still reads", "[vsock]") {
  Rig rig;
  HostProgram program = rig.open();
  PacketHeader shutdown = Rig::packet(Op::kShutdown);
  shutdown.flags = kShutdownReceive;
  rig.send(shutdown);
  CHECK(program.send("what") == -1);
  CHECK(errno == EPIPE);
  rig.send(Rig::packet(Op::kData), "more");
  CHECK(program.read() == "more");
  rig.expect_nothing();
  SECTION("and then the guest sends no more either") {
    shutdown.flags = kShutdownSend;
    rig.send(shutdown);
    rig.expect(Op::kReset);
    CHECK(program.at_end());
  }
  SECTION("and then the host goes") {
    program.close();
    rig.driver.run();
    CHECK(rig.expect(Op::kShutdown).header.flags == kShutdownBoth);
  }
}

TEST_CASE("that the host reads no more reaches the guest, which still reads", "[vsock]") {
  Rig rig;
  const HostProgram program = rig.open();
  program.shutdown(SHUT_RD);
  rig.send(Rig::packet(Op::kData), "for nobody");
  CHECK(rig.expect(Op::kShutdown).header.flags == kShutdownReceive);
  REQUIRE(program.send("still") == 5);
  rig.driver.run();
  const Packet packet = rig.expect(Op::kData);
  CHECK(packet.payload == "still");
  CHECK(packet.header.fwd_cnt == 10);  // what is dropped does not fill the buffer
  rig.send(Rig::packet(Op::kData), "for nobody either");
  rig.expect_nothing();
}

TEST_CASE("when the host closes, the guest gets the rest and answers with a reset", "[vsock]") {
  Rig rig;
  HostProgram program = rig.open();
  REQUIRE(program.send("rest") == 4);
  program.close();
  rig.driver.run();
  CHECK(rig.expect(Op::kData).payload == "rest");
  CHECK(rig.expect(Op::kShutdown).header.flags == kShutdownBoth);
  rig.expect_nothing();
  rig.send(Rig::packet(Op::kReset));
  rig.expect_nothing();
  rig.send(Rig::packet(Op::kCreditRequest));
  rig.expect(Op::kReset);  // it is gone
}

TEST_CASE("a guest that does not answer is reset in time", "[vsock]") {
  Rig rig({.limits = {.close = std::chrono::milliseconds(500)}});
  HostProgram program = rig.open();
  program.close();
  rig.driver.run();
  CHECK(rig.expect(Op::kShutdown).header.flags == kShutdownBoth);
  rig.run_for(std::chrono::milliseconds(50));
  rig.expect_nothing();
  rig.await(Op::kReset);
  rig.expect_nothing();
}

TEST_CASE("when the guest closes, it gets a reset once the host has all", "[vsock]") {
  Rig rig;
  const HostProgram program = rig.open();
  rig.send(Rig::packet(Op::kData), "last words");
  PacketHeader shutdown = Rig::packet(Op::kShutdown);
  shutdown.flags = kShutdownBoth;
  rig.send(shutdown);
  rig.expect(Op::kReset);
  CHECK(program.read() == "last words");
  CHECK(program.at_end());
  rig.expect_nothing();
}

TEST_CASE("a guest that does not accept is given up in time", "[vsock]") {
  Rig rig({.limits = {.request = std::chrono::milliseconds(200)}});
  const HostProgram client = HostProgram::connect(rig.path);
  rig.ask(client);
  CHECK(rig.ends(client));
  rig.await(Op::kReset);
}

TEST_CASE("the time of a pause is nobody's", "[vsock]") {
  Rig rig({.limits = {.greeting = std::chrono::milliseconds(1500),
                      .request = std::chrono::milliseconds(1500)}});
  const HostProgram silent = HostProgram::connect(rig.path);
  const HostProgram client = HostProgram::connect(rig.path);
  const Packet request = rig.ask(client);
  std::this_thread::sleep_for(std::chrono::milliseconds(1800));  // the device's thread stands still
  rig.run_for(std::chrono::milliseconds(200));
  CHECK_FALSE(silent.at_end());
  CHECK_FALSE(client.at_end());
  rig.send(Rig::packet(Op::kResponse, 5000, request.header.src_port));
  CHECK(client.read().starts_with("OK"));
  CHECK(rig.ends(silent));
}

TEST_CASE("a client that goes before the guest accepts is taken back", "[vsock]") {
  Rig rig;
  HostProgram client = HostProgram::connect(rig.path);
  const Packet request = rig.ask(client);
  client.close();
  rig.driver.run();
  rig.expect(Op::kReset);
  rig.send(Rig::packet(Op::kResponse, 5000, request.header.src_port));
  rig.expect(Op::kReset);
}

TEST_CASE("a host without room is waited for", "[vsock]") {
  const bool for_long = GENERATE(true, false);
  Rig rig({.limits = {.backlog = std::chrono::milliseconds(for_long ? 600'000 : 300)}});
  rig.listener = HostProgram::listen(rig.path + "_1024", SOCK_STREAM, 0);
  const HostProgram first = HostProgram::connect(rig.path + "_1024");
  rig.send(Rig::packet(Op::kRequest));
  rig.expect_nothing();
  if (!for_long) {  // not for ever
    rig.await(Op::kReset);
    return;
  }
  SECTION("until there is some") {
    REQUIRE(rig.listener.accept());
    rig.await(Op::kResponse);
    const HostProgram program = rig.listener.accept();
    rig.send(Rig::packet(Op::kData), "hello");
    CHECK(program.read() == "hello");
  }
  SECTION("until it is gone") {
    rig.listener.close();
    rig.await(Op::kReset);
  }
}

TEST_CASE("a request for ports that are connected ends that connection", "[vsock][hostile]") {
  Rig rig;
  const HostProgram program = rig.open();
  rig.send(Rig::packet(Op::kRequest));
  rig.expect(Op::kReset);
  CHECK(program.at_end());
  CHECK(rig.open());
}

TEST_CASE("when the driver resets the device, connections end and the socket stays", "[vsock]") {
  Rig rig;
  const HostProgram program = rig.open();
  const HostProgram client = HostProgram::connect(rig.path);
  rig.ask(client);
  rig.driver.reset();
  CHECK(program.at_end());
  CHECK(client.at_end());
  const HostProgram early = HostProgram::connect(rig.path);  // before the guest is up again
  REQUIRE(early.send("CONNECT 7\n") == 10);
  rig.start();
  CHECK(rig.expect(Op::kRequest).header.dst_port == 7);
  rig.check_alive();
}

TEST_CASE("a transport reset ends connections, and the driver is told", "[vsock]") {
  Rig rig;
  const HostProgram program = rig.open();
  rig.device->transport_reset();
  rig.driver.run();
  CHECK(program.at_end());
  rig.expect_nothing();
  for (int round = 0; round < 2; ++round) {
    REQUIRE(rig.driver.send(kEvent, {.readable = {}, .writable = {4}}));
    rig.driver.run();
    const auto event = rig.driver.receive(kEvent);
    REQUIRE(event.has_value() == (round == 0));
    if (event) {
      CHECK(event->written == 4);
      CHECK(event->at<Le32>(0).get() == 0);
    }
  }
  rig.check_alive();
}

TEST_CASE("options that make no sense are refused", "[vsock]") {
  const auto directory = *sys_util::TempDirectory::create();
  const std::string path = directory.path() + "/vsock";
  const std::uint64_t high = std::uint64_t{1} << 32;
  for (const std::uint64_t cid : {std::uint64_t{0}, std::uint64_t{1}, std::uint64_t{2}, high - 1,
                                  high, high + 3, ~std::uint64_t{0}}) {
    const auto device = Vsock::create({.cid = cid, .socket = path});
    REQUIRE_FALSE(device);
    CHECK(device.error().is_os(EINVAL));
  }
  for (const Limits& limits : {Limits{.connections = 0}, Limits{.clients = 0},
                               Limits{.buffer_bytes = 0}, Limits{.small_buffer_bytes = 0}}) {
    CHECK_FALSE(Vsock::create({.cid = 3, .socket = path, .limits = limits}));
  }
  CHECK(Vsock::create({.cid = high - 2, .socket = path}));
}

TEST_CASE("an event waits for a buffer, of which the device wants to know", "[vsock]") {
  Rig rig({.packed = GENERATE(false, true), .event_idx = GENERATE(false, true)});
  for (int round = 0; round < 4; ++round) {
    CAPTURE(round);
    if (round == 1) rig.device->transport_reset();  // as in each round, but before the buffer
    rig.driver.run();
    REQUIRE(rig.driver.send(kEvent, {.readable = {}, .writable = {8}}));
    if (round != 1) rig.device->transport_reset();
    const auto event = rig.driver.wait(kEvent);
    REQUIRE(event);
    CHECK(event->written == 4);
  }
}

}  // namespace
}  // namespace vmm::virtio_vsock
