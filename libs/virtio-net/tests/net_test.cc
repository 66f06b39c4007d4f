// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>

#include "net_fixture.h"

using namespace vmm;
using namespace vmm::virtio_net;

namespace {

constexpr std::uint64_t kRingReset = virtio_queue::kFeatureRingReset;

std::vector<NetPort> ports(std::size_t count, bool has_header = false) {
  std::vector<NetPort> all;
  for (std::size_t i = 0; i < count; ++i) all.push_back(ends(has_header).port);
  return all;
}

std::shared_ptr<rate_limiter::RateLimiter> limit(rate_limiter::BucketConfig bandwidth,
                                                 rate_limiter::BucketConfig operations) {
  return std::make_shared<rate_limiter::RateLimiter>(
      rate_limiter::RateLimits{.bandwidth = bandwidth, .operations = operations});
}

}  // namespace

TEST_CASE("features that need others are not offered without them", "[net]") {
  using enum NetFeature;
  struct Case {
    NetOptions options;
    bool has_header;
    std::uint64_t in, out;
  };
  const std::uint64_t csum = bit(kCsum) | bit(kGuestCsum) | bit(kCtrlGuestOffloads);
  const std::uint64_t tso = bit(kGuestTso4) | bit(kGuestTso6) | bit(kHostTso4) | bit(kHostTso6) |
                            bit(kHostEcn) | bit(kGuestEcn);
  const std::uint64_t udp =
      bit(kGuestUfo) | bit(kHostUfo) | bit(kGuestUso4) | bit(kGuestUso6) | bit(kHostUso);
  const std::vector<Case> cases{
      {{}, true, csum | tso | udp, bit(kMq) | bit(kMtu)},
      {{}, false, bit(kMac) | bit(kStatus) | bit(kCtrlVq), csum | tso | udp},
      {{.offload_csum = false}, true, 0, csum | tso | udp},
      {{.offload_tso = false}, true, csum | udp, tso},
      {{.offload_ufo = false}, true, csum | tso, udp},
      {{.mtu = 9000}, true, bit(kMtu), 0},
  };
  for (const Case& c : cases) {
    const auto net = *Net::create(c.options, ports(1, c.has_header));
    CHECK((net->features() & c.in) == c.in);
    CHECK((net->features() & c.out) == 0);
  }
  CHECK(((*Net::create({}, ports(2)))->features() & bit(kMq)) != 0);
}

TEST_CASE("options that cannot be are refused", "[net]") {
  const auto refused = [](const NetOptions& options, std::vector<NetPort> with) {
    const auto net = Net::create(options, std::move(with));
    return !net && net.error().is_os(EINVAL);
  };
  CHECK(refused({}, {}));
  CHECK(refused({}, ports(kMaxQueuePairs + 1)));
  CHECK(refused({.queue_size = 100}, ports(1)));
  CHECK(refused({.queue_size = 1}, ports(1)));
  CHECK(refused({.mtu = 67}, ports(1)));
  auto mixed = ports(1);
  mixed.push_back(ends(true).port);
  CHECK(refused({}, std::move(mixed)));

  int stream[2] = {-1, -1};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, stream) == 0);
  const UniqueFd other(stream[1]);
  const auto port = NetPort::adopt_socket(UniqueFd(stream[0]));
  REQUIRE_FALSE(port);
  CHECK(port.error().is_os(EINVAL));
}

TEST_CASE("the configuration space tells what there is", "[net]") {
  NetRig rig({.options = {.mac = {2, 1, 2, 3, 4, 5}, .mtu = 1400}, .pairs = 3});
  rig.start(0);
  CHECK(rig.config<MacAddress>(0) == MacAddress{2, 1, 2, 3, 4, 5});
  CHECK(rig.config<Le16>(6).get() == kLinkUp);
  CHECK(rig.config<Le16>(8).get() == 3);
  CHECK(rig.config<Le16>(10).get() == 1400);
  CHECK(rig.net->queue_sizes().size() == 7);
}

TEST_CASE("each pair has its port; without VIRTIO_NET_F_MQ there is one", "[net]") {
  const bool multi = GENERATE(false, true);
  NetRig rig({.pairs = 2});
  rig.start(bit(NetFeature::kCtrlVq) | (multi ? bit(NetFeature::kMq) : 0));
  rig.transmit({}, pattern(60, 1), 1);
  CHECK(rig.host_receive(0) == pattern(60, 1));
  if (multi) {
    rig.transmit({}, pattern(60, 2), 3);
    CHECK(rig.host_receive(1) == pattern(60, 2));
    const GuestAddress at = rig.give_room(1600, 2);
    rig.host_send(pattern(61), 1);
    CHECK(rig.reap(2));
    CHECK(rig.get(GuestAddress(at.raw() + kNetHeaderBytes), 61) == pattern(61));
  }
  CHECK(rig.command({4, 0, 2, 0}, multi ? 4 : 2) == (multi ? 0 : 1));
}

TEST_CASE("the link and announcements are in the status", "[net]") {
  NetRig rig({});
  CHECK_FALSE(rig.net->announce());
  rig.start(bit(NetFeature::kCtrlVq) | bit(NetFeature::kStatus) | bit(NetFeature::kGuestAnnounce));
  CHECK(rig.net->announce());
  CHECK(rig.rig().config_interrupts() == 1);
  CHECK(rig.config<Le16>(6).get() == (kLinkUp | kAnnounce));
  CHECK(rig.command({3, 0}) == 0);
  CHECK(rig.config<Le16>(6).get() == kLinkUp);
  rig.net->set_link_up(false);
  rig.net->set_link_up(false);
  CHECK(rig.rig().config_interrupts() == 2);
  CHECK(rig.config<Le16>(6).get() == 0);
  rig.net->set_link_up(true);
  CHECK(rig.config<Le16>(6).get() == kLinkUp);
  CHECK(rig.net->announce());
  rig.rig().reset();
  CHECK(rig.config<Le16>(6).get() == kLinkUp);
}

TEST_CASE("the network is told of an address by RARP, with a driver or without", "[net]") {
  NetRig rig({});
  Bytes expected(60);
  const auto put = [&](std::size_t at, std::initializer_list<int> bytes) {
    for (const int byte : bytes) expected[at++] = static_cast<std::uint8_t>(byte);
  };
  put(0, {255, 255, 255, 255, 255, 255, 2, 0, 0, 0, 0, 7, 0x80, 0x35});
  put(14, {0, 1, 8, 0, 6, 4, 0, 3, 2, 0, 0, 0, 0, 7, 0, 0, 0, 0, 2, 0, 0, 0, 0, 7});
  CHECK(rig.net->send_rarp({2, 0, 0, 0, 0, 7}));
  CHECK(rig.host_receive(0) == expected);
}

TEST_CASE("the MTU may change for the next driver", "[net]") {
  NetRig rig({.options = {.mtu = 1400}});
  const auto refused = rig.net->set_mtu(67);
  REQUIRE_FALSE(refused);
  CHECK(refused.error().is_os(EINVAL));
  CHECK(rig.net->mtu() == 1400);
  REQUIRE(rig.net->set_mtu(9000));
  rig.start(bit(NetFeature::kMtu));
  CHECK(rig.config<Le16>(10).get() == 9000);
  REQUIRE(rig.net->set_mtu(2000));
  CHECK(rig.config<Le16>(10).get() == 9000);  // of a driver that has it
  rig.rig().reset();
  CHECK(rig.config<Le16>(10).get() == 2000);
}

TEST_CASE("a queue that was reset starts anew, and the others go on", "[net]") {
  const std::uint64_t rings = GENERATE(from_range(kRings));
  NetRig rig({});
  rig.start(kRingReset | bit(NetFeature::kCtrlVq) | bit(NetFeature::kCtrlRx) | rings);
  REQUIRE(rig.started);
  for (int round = 0; round < 10; ++round) {
    rig.give_room(1600);
    for (std::uint16_t queue = 0; queue < 3; ++queue) rig.core().reset_queue(queue);
    rig.host_send(pattern(60, 5));
    CHECK(rig.host_receive().empty());
    for (std::uint16_t queue = 0; queue < 3; ++queue) rig.restart(queue);
    rig.run();
    const GuestAddress at = rig.give_room(1600);
    CHECK(rig.reap(0));
    CHECK(rig.get(GuestAddress(at.raw() + kNetHeaderBytes), 60) == pattern(60, 5));
    rig.transmit({}, pattern(70));
    CHECK(rig.host_receive() == pattern(70));
    CHECK(rig.command({0, 0, 1}) == 0);
  }
}

TEST_CASE("resets leave nothing behind", "[net]") {
  NetRig rig({.options = {.mac = {2, 0, 0, 0, 0, 1}}});
  rig.start(bit(NetFeature::kCtrlVq) | bit(NetFeature::kCtrlMacAddr));
  for (int round = 0; round < 50; ++round) {
    REQUIRE(rig.rig().start());
    rig.give_room(1600);
    rig.give_room(1600);
    CHECK(rig.command({1, 1, 2, 9, 9, 9, 9, 9}) == 0);
    CHECK(rig.config<MacAddress>(0) == MacAddress{2, 9, 9, 9, 9, 9});
    rig.host_send(pattern(60));
    CHECK(rig.reap(0));
    rig.transmit({}, pattern(60));
    CHECK(rig.host_receive() == pattern(60));
    rig.rig().reset();
    CHECK(rig.config<MacAddress>(0) == MacAddress{2, 0, 0, 0, 0, 1});
  }
}

TEST_CASE("limits hold both directions up for a while, and lose nothing", "[net][limit]") {
  using Clock = std::chrono::steady_clock;
  constexpr std::uint64_t kRefillMs = 200;
  const bool bytes = GENERATE(false, true);
  const auto make = [bytes] {
    const rate_limiter::BucketConfig packets{.size = 4, .refill_ms = kRefillMs};
    const rate_limiter::BucketConfig octets{.size = 400, .refill_ms = kRefillMs};
    return bytes ? limit(octets, {}) : limit({}, packets);
  };
  NetRig rig({.options = {.receive_limit = make(), .transmit_limit = make()}});
  rig.start(0);
  const auto begun = Clock::now();
  for (std::uint8_t i = 0; i < 8; ++i) {
    rig.give_room(1600);
    rig.host_send(pattern(100, i));
    rig.transmit({}, pattern(100, i));
  }
  int received = 0;
  int sent = 0;
  const auto count = [&] {
    while (rig.reap(0)) ++received;
    while (!rig.host_receive().empty()) ++sent;
  };
  count();
  // A machine that has stood still meanwhile has let the limiters fill up.
  const bool at_once = Clock::now() < begun + std::chrono::milliseconds(kRefillMs);
  CHECK((received >= 4 && (received < 8 || !at_once)));
  CHECK((sent >= 4 && (sent < 8 || !at_once)));
  rig.rig().run_until([&] {
    count();
    return received == 8 && sent == 8;
  });
  CHECK(received == 8);
  CHECK(sent == 8);
}
