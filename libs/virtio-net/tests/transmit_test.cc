// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <catch2/catch.hpp>

#include "net_fixture.h"

using namespace vmm;
using namespace vmm::virtio_net;
using Used = virtio_queue::driver::Used;

TEST_CASE("a packet leaves as it is, over each kind of ring", "[transmit]") {
  const std::uint64_t rings = GENERATE(from_range(kRings));
  const bool has_header = GENERATE(false, true);
  const int type = GENERATE(SOCK_SEQPACKET, SOCK_DGRAM);
  NetRig rig({.has_header = has_header, .type = type});
  rig.start(rings);
  for (std::uint8_t i = 0; i < 100; ++i) {
    const Bytes packet = pattern(60 + i, i);
    rig.transmit({}, packet);
    REQUIRE(rig.reap(1) == Used{.token = rig.last_token, .written = 0});
    Bytes got = rig.host_receive();
    if (has_header) {
      REQUIRE(got.size() > kNetHeaderBytes);
      CHECK(Bytes(got.begin(), got.begin() + kNetHeaderBytes) == Bytes(kNetHeaderBytes));
      got.erase(got.begin(), got.begin() + kNetHeaderBytes);
    }
    CHECK(got == packet);
  }
  CHECK(rig.rig().interrupts(1) > 0);
}

TEST_CASE("a packet in pieces, its header among them, leaves whole", "[transmit]") {
  NetRig rig({});
  rig.start(0);
  const Bytes packet = pattern(3000);
  const auto whole = rig.whole({}, packet);
  std::vector<NetRig::Buffer> pieces;
  std::uint64_t offset = 0;
  for (const std::uint32_t length : {3u, 0u, 8u, 1u, 5u, 1000u, 1995u}) {
    pieces.push_back({.address = GuestAddress(whole.address.raw() + offset), .length = length});
    offset += length;
  }
  rig.offer(1, pieces);
  REQUIRE(rig.reap(1));
  CHECK(rig.host_receive() == packet);
}

TEST_CASE("malformed packets come back, and nothing leaves", "[transmit][hostile]") {
  const std::uint64_t rings = GENERATE(from_range(kRings));
  NetRig rig({.has_header = GENERATE(false, true)});
  rig.start(rings);
  const GuestAddress data = rig.put(Bytes(1 << 18));
  const std::vector<std::vector<NetRig::Buffer>> bad{
      {{.address = data, .length = 0}},
      {{.address = data, .length = 5}},
      {{.address = data, .length = 12}},
      {{.address = data, .length = 12 + 13}},
      {{.address = data, .length = 12}, {.address = data, .length = kMaxPacketBytes + 1}},
      {{.address = data, .length = 1 << 18}},
      {{.address = data, .length = ~0u}},
      {{.address = data, .length = 100, .device_writable = true}},
      {{.address = data, .length = 12}, {.address = data, .length = 90, .device_writable = true}},
      {{.address = GuestAddress(1ull << 40), .length = 100}},
      {{.address = data, .length = 12}, {.address = GuestAddress(~0ull - 9), .length = 100}},
  };
  for (const auto& buffers : bad) {
    rig.offer(1, buffers);
    CHECK(rig.reap(1) == Used{.token = rig.last_token, .written = 0});
    CHECK(rig.host_receive().empty());
  }
  CHECK(rig.net->counters().transmitted.packets == 0);
  rig.transmit({}, pattern(60));
  CHECK(rig.reap(1));
  CHECK_FALSE(rig.host_receive().empty());
  CHECK(rig.net->counters().transmitted.packets == 1);
  CHECK(rig.net->counters().transmitted.bytes == 60);
}

TEST_CASE("the largest packet leaves, in as many pieces as a driver uses", "[transmit]") {
  NetRig rig({.has_header = true});
  rig.start(0);
  const Bytes packet = pattern(kMaxPacketBytes);
  const auto whole = rig.whole({}, packet);
  std::vector<NetRig::Buffer> pieces;
  for (std::uint32_t offset = 0; offset < whole.length; offset += 4096) {
    pieces.push_back({.address = GuestAddress(whole.address.raw() + offset),
                      .length = std::min(4096u, whole.length - offset)});
  }
  rig.offer(1, pieces);
  REQUIRE(rig.reap(1));
  const Bytes got = rig.host_receive();
  REQUIRE(got.size() == kNetHeaderBytes + packet.size());
  CHECK(std::equal(packet.begin(), packet.end(), got.begin() + kNetHeaderBytes));
}

TEST_CASE("what was not negotiated does not reach the host", "[transmit][hostile]") {
  NetRig rig({.has_header = true});
  rig.start(bit(NetFeature::kCsum));
  rig.transmit({.flags = kNeedsCsum,
                .gso_type = kGsoTcp4,
                .gso_bytes = Le16(1000),
                .csum_start = Le16(34),
                .csum_offset = Le16(16)},
               pattern(3000));
  CHECK(rig.reap(1));
  CHECK(rig.host_receive().empty());
  rig.transmit({.flags = 0xff,
                .gso_type = kGsoNone,
                .header_bytes = Le16(0xffff),
                .gso_bytes = Le16(77),
                .csum_start = Le16(34),
                .csum_offset = Le16(16),
                .buffers = Le16(99)},
               pattern(60));
  CHECK(rig.reap(1));
  const Bytes got = rig.host_receive();
  REQUIRE(got.size() == kNetHeaderBytes + 60);
  CHECK(Bytes(got.begin(), got.begin() + 12) ==
        Bytes{kNeedsCsum, 0, 0, 0, 0, 0, 34, 0, 16, 0, 0, 0});
}

TEST_CASE("a port that is full holds packets up, and loses none", "[transmit]") {
  const std::uint64_t rings = GENERATE(from_range(kRings));
  NetRig rig({.type = GENERATE(SOCK_SEQPACKET, SOCK_DGRAM)});
  const int small = 4096;
  REQUIRE(::setsockopt(rig.host[0].get(), SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)) == 0);
  rig.start(rings);
  int returned = 0;
  std::uint8_t sent = 0;
  const auto reap_all = [&] {
    while (rig.reap(1)) ++returned;
  };
  for (; sent < NetRig::kQueueSize; ++sent) rig.transmit({}, pattern(60000, sent));
  reap_all();
  REQUIRE(returned < NetRig::kQueueSize);
  for (std::uint8_t got = 0; got < sent; ++got) {
    CHECK(rig.host_receive() == pattern(60000, got));
    rig.run();
  }
  reap_all();
  CHECK(returned == NetRig::kQueueSize);
  CHECK(rig.net->counters().transmitted.packets == sent);
  CHECK(rig.net->counters().transmitted.bytes == sent * 60000u);
}

TEST_CASE("when nobody is there any more, packets are dropped and the link is down", "[transmit]") {
  NetRig rig({});
  rig.start(bit(NetFeature::kStatus));
  CHECK(rig.config<Le16>(6).get() == kLinkUp);
  rig.host[0].reset();
  rig.run();
  CHECK(rig.config<Le16>(6).get() == 0);
  CHECK(rig.rig().config_interrupts() == 1);
  rig.transmit({}, pattern(60));
  CHECK(rig.reap(1));
  CHECK(rig.rig().running());
  CHECK(rig.net->counters().transmitted.packets == 0);
}

TEST_CASE("a packet may be in as many pieces as the queue is long", "[transmit]") {
  const std::uint64_t rings = GENERATE(from_range(kRings));
  const std::uint16_t length = GENERATE(as<std::uint16_t>(), 64, 256, 1024, 2048);
  NetRig rig({.has_header = GENERATE(false, true), .queue_size = length});
  rig.start(rings);
  REQUIRE(rig.started);
  constexpr std::uint32_t kPart = 3;
  const Bytes packet = pattern(length * kPart - kNetHeaderBytes);
  const auto whole = rig.whole({}, packet);
  REQUIRE(whole.length == length * kPart);
  for (int i = 0; i < 3; ++i) {
    rig.offer(1, NetRig::cut(whole.address, length, kPart, false));
    REQUIRE(rig.reap(1));
    const Bytes got = rig.host_receive();
    REQUIRE(got.size() >= packet.size());
    CHECK(Bytes(got.end() - static_cast<std::ptrdiff_t>(packet.size()), got.end()) == packet);
  }
}
