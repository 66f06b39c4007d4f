// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <catch2/catch.hpp>

#include "net_fixture.h"

using namespace vmm;
using namespace vmm::virtio_net;

namespace {

constexpr std::uint8_t kOk = 0;
constexpr std::uint8_t kRefused = 1;

constexpr std::uint64_t bits(std::initializer_list<NetFeature> features) {
  std::uint64_t all = 0;
  for (const NetFeature feature : features) all |= bit(feature);
  return all;
}

struct Case {
  const char* name;
  Bytes command;
  std::uint8_t answer;
};

// With the features of the test below.
const Case kCases[] = {
    {"nothing", {}, kRefused},
    {"half a header", {0}, kRefused},
    {"promiscuous", {0, 0, 1}, kOk},
    {"all multicast", {0, 1, 0}, kOk},
    {"promiscuous, no value", {0, 0}, kRefused},
    {"promiscuous, two values", {0, 0, 1, 1}, kRefused},
    {"a mode of CTRL_RX_EXTRA", {0, 2, 1}, kRefused},
    {"empty tables", {1, 0, 0, 0, 0, 0, 0, 0, 0, 0}, kOk},
    {"one address in each table",
     {1, 0, 1, 0, 0, 0, 2, 0, 0, 0, 0, 1, 1, 0, 0, 0, 3, 0, 0, 0, 0, 1},
     kOk},
    {"one table only", {1, 0, 0, 0, 0, 0}, kRefused},
    {"a table longer than the command", {1, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0, 1, 0, 0, 0, 0}, kRefused},
    {"a table of 2^32 - 1", {1, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, kRefused},
    {"a table whose bytes overflow", {1, 0, 0xab, 0xaa, 0xaa, 0x2a, 0, 0, 0, 0}, kRefused},
    {"bytes after the tables", {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, kRefused},
    {"an address", {1, 1, 2, 0, 0, 0, 0, 7}, kOk},
    {"a short address", {1, 1, 2, 0, 0, 0, 0}, kRefused},
    {"a long address", {1, 1, 2, 0, 0, 0, 0, 7, 7}, kRefused},
    {"another command on addresses", {1, 2, 2, 0, 0, 0, 0, 7}, kRefused},
    {"VLAN filters, not offered", {2, 0, 1, 0}, kRefused},
    {"announced", {3, 0}, kOk},
    {"announced, with a value", {3, 0, 1}, kRefused},
    {"one pair", {4, 0, 1, 0}, kOk},
    {"all pairs", {4, 0, 2, 0}, kOk},
    {"no pairs", {4, 0, 0, 0}, kRefused},
    {"more pairs than there are", {4, 0, 3, 0}, kRefused},
    {"0x8000 pairs", {4, 0, 0, 0x80}, kRefused},
    {"half a number of pairs", {4, 0, 1}, kRefused},
    {"RSS, not offered", {4, 1, 1, 0}, kRefused},
    {"no offloads", {5, 0, 0, 0, 0, 0, 0, 0, 0, 0}, kOk},
    {"checksums", {5, 0, 2, 0, 0, 0, 0, 0, 0, 0}, kOk},
    {"an offload not negotiated", {5, 0, 0x82, 0, 0, 0, 0, 0, 0, 0}, kRefused},
    {"what is no offload", {5, 0, 1, 0, 0, 0, 0, 0, 0, 0}, kRefused},
    {"short offloads", {5, 0, 2, 0, 0, 0, 0, 0, 0}, kRefused},
    {"an unknown class", {77, 0, 0, 0}, kRefused},
};

}  // namespace

TEST_CASE("the commands of the control queue", "[control][hostile]") {
  using enum NetFeature;
  const std::uint64_t rings = GENERATE(from_range(kRings));
  NetRig rig({.pairs = 2, .has_header = true});
  rig.start(rings | bits({kCtrlVq, kCtrlRx, kCtrlMacAddr, kMq, kGuestAnnounce, kCtrlGuestOffloads,
                          kGuestCsum}));
  for (const Case& c : kCases) {
    CAPTURE(c.name);
    CHECK(rig.command(c.command, 4) == c.answer);
  }
}

TEST_CASE("commands of features that were not negotiated are refused", "[control][hostile]") {
  NetRig rig({.pairs = 2, .has_header = true});
  rig.start(bit(NetFeature::kCtrlVq));
  for (const Case& c : kCases) {
    CAPTURE(c.name);
    CHECK(rig.command(c.command) == kRefused);
  }
}

TEST_CASE("control chains of other shapes", "[control][hostile]") {
  NetRig rig({});
  rig.start(bit(NetFeature::kCtrlVq) | bit(NetFeature::kCtrlRx) | bit(NetFeature::kCtrlMacAddr));
  const GuestAddress mac = rig.put({1, 1, 2, 0, 0, 0, 0, 9});
  rig.offer(2, {{.address = mac, .length = 8}});  // nowhere to answer: not obeyed
  CHECK(rig.reap(2)->written == 0);
  CHECK(rig.config<MacAddress>(0)[5] == 0);
  const GuestAddress answer = rig.put({0xff, 0xff});
  rig.offer(2, {{.address = answer, .length = 1, .device_writable = true}});  // no command
  CHECK(rig.reap(2)->written == 1);
  CHECK(rig.get(answer, 2) == Bytes{kRefused, 0xff});
  rig.offer(2, {{.address = mac, .length = 1},
                {.address = GuestAddress(mac.raw() + 1), .length = 4},
                {.address = GuestAddress(mac.raw() + 5), .length = 3},
                {.address = answer, .length = 2, .device_writable = true}});
  CHECK(rig.reap(2)->written == 1);
  CHECK(rig.get(answer, 2) == Bytes{kOk, 0xff});
  CHECK(rig.config<MacAddress>(0)[5] == 9);
}

TEST_CASE("a command may be as long as the queue", "[control]") {
  NetRig rig({});
  rig.start(bit(NetFeature::kCtrlVq) | bit(NetFeature::kCtrlRx) | bit(NetFeature::kCtrlMacAddr));
  Bytes command{1, 0, 9, 0, 0, 0};  // nine addresses in the first table, none in the second
  command.resize(64);
  std::vector<NetRig::Buffer> all = NetRig::cut(rig.put(command), NetRig::kQueueSize - 1, 1, false);
  all.back().length = 2;
  const GuestAddress answer = rig.put({0xff});
  all.push_back({.address = answer, .length = 1, .device_writable = true});
  rig.offer(2, all);
  CHECK(rig.reap(2)->written == 1);
  CHECK(rig.get(answer, 1) == Bytes{kOk});
}
