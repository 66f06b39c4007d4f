// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Each kind of packet in each state of a connection.

#include <algorithm>

#include "rig.h"

namespace vmm::virtio_vsock {
namespace {

constexpr Op kUnknown{8};
constexpr Op kFarUnknown{0xffff};
constexpr Op kAll[] = {Op::kInvalid,  Op::kRequest, Op::kResponse,     Op::kReset,
                       Op::kShutdown, Op::kData,    Op::kCreditUpdate, Op::kCreditRequest,
                       kUnknown,      kFarUnknown};

constexpr SocketType kOtherTypes[] = {SocketType{0}, SocketType::kSeqpacket, SocketType{3},
                                      SocketType{0xffff}};

struct Rule {
  Op op;
  std::optional<Op> answer;
  bool lives;
};

// What is not named is answered with a reset, which ends the connection.
Rule rule_for(std::initializer_list<Rule> exceptions, Op op) {
  const auto* const found = std::ranges::find(exceptions, op, &Rule::op);
  return found == exceptions.end() ? Rule{op, Op::kReset, false} : *found;
}

void check(Rig& rig, PacketHeader header, const Rule& rule) {
  CAPTURE(header.op);
  header.op = rule.op;
  header.flags = kShutdownBoth;
  rig.send(header, rule.op == Op::kData ? "data" : "");
  if (rule.answer) {
    const Packet answer = rig.expect(*rule.answer);
    CHECK(answer.header.src_port == header.dst_port);
    CHECK(answer.header.dst_port == header.src_port);
    CHECK(answer.header.type == header.type);
  }
  rig.expect_nothing();
  header.op = Op::kCreditRequest;
  rig.send(header);
  rig.expect(rule.lives ? Op::kCreditUpdate : Op::kReset);
  rig.expect_nothing();
}

TEST_CASE("packets that belong to no connection are answered with a reset", "[vsock][hostile]") {
  for (const Op op : kAll) {
    Rig rig;
    check(rig, Rig::packet(op), rule_for({{Op::kReset, std::nullopt, false}}, op));
    rig.check_alive();
  }
}

TEST_CASE("packets of an open connection", "[vsock][hostile]") {
  for (const Op op : kAll) {
    Rig rig;
    const HostProgram program = rig.open();
    const Rule rule = rule_for({{Op::kReset, std::nullopt, false},
                                {Op::kData, std::nullopt, true},
                                {Op::kCreditUpdate, std::nullopt, true},
                                {Op::kCreditRequest, Op::kCreditUpdate, true}},
                               op);
    check(rig, Rig::packet(op), rule);
    CHECK(program.read(4) == (op == Op::kData ? "data" : ""));
    CHECK(program.at_end() != rule.lives);
    rig.check_alive();
  }
}

TEST_CASE("packets of a connection that the host has asked for", "[vsock][hostile]") {
  for (const Op op : kAll) {
    Rig rig;
    const HostProgram client = HostProgram::connect(rig.path);
    const Packet request = rig.ask(client);
    PacketHeader header = Rig::packet(op, request.header.dst_port, request.header.src_port);
    if (op == Op::kCreditUpdate) {
      header.op = op;
      rig.send(header);
      rig.expect_nothing();
      continue;
    }
    const Rule rule =
        rule_for({{Op::kReset, std::nullopt, false}, {Op::kResponse, std::nullopt, true}}, op);
    check(rig, header, rule);
    CHECK(client.read(3) == (rule.lives ? "OK " : ""));
    (void)client.read();
    CHECK(client.at_end() != rule.lives);
    rig.check_alive();
  }
}

TEST_CASE("packets of a connection whose host has no room yet", "[vsock][hostile]") {
  for (const Op op : kAll) {
    Rig rig;
    rig.listener = HostProgram::listen(rig.path + "_1024", SOCK_STREAM, 0);
    const HostProgram first = HostProgram::connect(rig.path + "_1024");
    rig.send(Rig::packet(Op::kRequest));
    rig.expect_nothing();
    check(rig, Rig::packet(op), rule_for({{Op::kReset, std::nullopt, false}}, op));
  }
}

TEST_CASE("packets of a connection whose reset could not be sent yet", "[vsock][hostile]") {
  for (const Op op : kAll) {
    Rig rig({.rx_buffers = 1});
    const HostProgram program = rig.open();
    rig.refills = false;
    rig.send(Rig::packet(Op::kCreditRequest));
    rig.expect(Op::kCreditUpdate);
    rig.send(Rig::packet(Op::kResponse));
    CHECK(program.at_end());
    rig.send(Rig::packet(op), op == Op::kData ? "data" : "");
    rig.expect_nothing();
    rig.refills = true;
    rig.offer_rx();
    rig.driver.run();
    if (op != Op::kReset) rig.expect(Op::kReset);
    rig.driver.run();
    rig.expect_nothing();
    rig.check_alive();
  }
}

TEST_CASE("a packet of another type than the connection's resets it", "[vsock][hostile]") {
  for (const SocketType type : kOtherTypes) {
    CAPTURE(static_cast<int>(type));
    Rig rig;
    const HostProgram program = rig.open();
    PacketHeader header = Rig::packet(Op::kCreditUpdate);
    header.type = type;
    rig.send(header);
    rig.expect(Op::kReset);
    CHECK(program.at_end());
    rig.check_alive();
  }
}

TEST_CASE("requests of unknown types are answered with a reset of that type", "[vsock][hostile]") {
  for (const std::uint64_t features : {kFeatureStream, kFeatureStream | kFeatureSeqpacket}) {
    Rig rig({.features = features});
    for (const SocketType type : kOtherTypes) {
      PacketHeader header = Rig::packet(Op::kRequest);
      header.type = type;
      rig.send(header);
      CHECK(rig.expect(Op::kReset).header.type == type);
    }
    rig.check_alive();
  }
}

TEST_CASE("packets to and from others", "[vsock][hostile]") {
  struct Case {
    std::uint64_t from, to;
    bool answered;
  };
  const Case cases[] = {
      {2, 2, false},
      {0, 2, false},
      {4, 2, false},
      {std::uint64_t{1} << 32 | 3, 2, false},
      {kGuestCid, 1, true},
      {kGuestCid, 3, true},
      {kGuestCid, ~std::uint64_t{0}, true},
      {kGuestCid, std::uint64_t{1} << 32 | 2, true},
  };
  Rig rig;
  const HostProgram program = rig.open();
  for (const Case& one : cases) {
    for (const Op op : {Op::kRequest, Op::kData, Op::kReset, Op::kShutdown}) {
      CAPTURE(one.from, one.to, op);
      PacketHeader header = Rig::packet(op);
      header.src_cid = one.from;
      header.dst_cid = one.to;
      rig.send(header);
      const auto answer = rig.receive();
      REQUIRE(answer.has_value() == (one.answered && op != Op::kReset));
      if (answer) {
        CHECK(answer->header.op == Op::kReset);
        CHECK(answer->header.src_cid == one.to);
        CHECK(answer->header.dst_cid == kGuestCid);
      }
    }
  }
  rig.send(Rig::packet(Op::kData), "still here");
  CHECK(program.read() == "still here");
}

}  // namespace
}  // namespace vmm::virtio_vsock
