// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "src/vnet_header.h"

#include <catch2/catch.hpp>

#include "vmm/virtio_net/net.h"

using namespace vmm;
using namespace vmm::virtio_net;

namespace {

constexpr std::uint64_t bits(std::initializer_list<NetFeature> features) {
  std::uint64_t all = 0;
  for (const NetFeature feature : features) all |= bit(feature);
  return all;
}

constexpr std::uint64_t kAllFromDriver =
    bits({NetFeature::kCsum, NetFeature::kHostTso4, NetFeature::kHostTso6, NetFeature::kHostEcn,
          NetFeature::kHostUfo, NetFeature::kHostUso});

struct Case {
  const char* name;
  VnetHeader header;
  std::uint32_t bytes;
  std::uint64_t features;
  bool accepted;
};

VnetHeader gso(std::uint8_t type, std::uint16_t size = 1448) {
  return {.flags = kNeedsCsum,
          .gso_type = type,
          .header_bytes = Le16(54),
          .gso_bytes = Le16(size),
          .csum_start = Le16(34),
          .csum_offset = Le16(16)};
}

VnetHeader csum(std::uint16_t start, std::uint16_t offset) {
  return {.flags = kNeedsCsum, .csum_start = Le16(start), .csum_offset = Le16(offset)};
}

}  // namespace

TEST_CASE("which headers of a driver the host may see", "[header][hostile]") {
  using enum NetFeature;
  const auto c = GENERATE(values<Case>({
      {"nothing", {}, 60, 0, true},
      {"checksum", csum(34, 16), 60, bit(kCsum), true},
      {"checksum, not negotiated", csum(34, 16), 60, 0, false},
      {"checksum at the end", csum(50, 8), 60, bit(kCsum), true},
      {"checksum behind the end", csum(50, 9), 60, bit(kCsum), false},
      {"checksum far behind", csum(0xffff, 0xffff), 60, bit(kCsum), false},
      {"TCP over IPv4", gso(kGsoTcp4), 9000, kAllFromDriver, true},
      {"TCP over IPv4, not negotiated", gso(kGsoTcp4), 9000, kAllFromDriver & ~bit(kHostTso4),
       false},
      {"TCP over IPv6", gso(kGsoTcp6), 9000, kAllFromDriver, true},
      {"TCP over IPv6, not negotiated", gso(kGsoTcp6), 9000, kAllFromDriver & ~bit(kHostTso6),
       false},
      {"TCP with ECN", gso(kGsoTcp4 | kGsoEcn), 9000, kAllFromDriver, true},
      {"ECN, not negotiated", gso(kGsoTcp4 | kGsoEcn), 9000, kAllFromDriver & ~bit(kHostEcn),
       false},
      {"ECN of nothing", gso(kGsoEcn), 9000, kAllFromDriver, false},
      {"ECN of UDP", gso(kGsoUdp | kGsoEcn), 9000, kAllFromDriver, false},
      {"UDP fragments", gso(kGsoUdp), 9000, kAllFromDriver, true},
      {"UDP fragments, not negotiated", gso(kGsoUdp), 9000, kAllFromDriver & ~bit(kHostUfo), false},
      {"UDP segments", gso(kGsoUdpL4), 9000, kAllFromDriver, true},
      {"UDP segments, not negotiated", gso(kGsoUdpL4), 9000, kAllFromDriver & ~bit(kHostUso),
       false},
      {"segments of no bytes", gso(kGsoTcp4, 0), 9000, kAllFromDriver, false},
      {"segments without a checksum",
       {.gso_type = kGsoTcp4, .gso_bytes = Le16(1448)},
       9000,
       kAllFromDriver,
       false},
      {"an unknown kind", gso(2), 9000, kAllFromDriver, false},
      {"another one", gso(0x7f), 9000, kAllFromDriver, false},
  }));
  CAPTURE(c.name);
  VnetHeader header = c.header;
  CHECK(accept_from_driver(header, c.bytes, c.features) == c.accepted);
}

TEST_CASE("what a driver's header may not say is cleared", "[header][hostile]") {
  VnetHeader header{.flags = 0xfe,
                    .header_bytes = Le16(99),
                    .gso_bytes = Le16(1),
                    .csum_start = Le16(500),
                    .csum_offset = Le16(600),
                    .buffers = Le16(7)};
  REQUIRE(accept_from_driver(header, 60, kAllFromDriver));
  CHECK(header.flags == 0);
  CHECK(header.header_bytes.get() == 0);
  CHECK(header.gso_bytes.get() == 0);
  CHECK(header.csum_start.get() == 0);
  CHECK(header.csum_offset.get() == 0);
  CHECK(header.buffers.get() == 0);

  header = gso(kGsoTcp4);
  header.header_bytes = Le16(0xffff);
  REQUIRE(accept_from_driver(header, 9000, kAllFromDriver));
  CHECK(header.header_bytes.get() == 9000);
  CHECK(header.gso_bytes.get() == 1448);
}

TEST_CASE("which packets of the host a driver gets", "[header]") {
  using enum NetFeature;
  constexpr std::uint64_t kAll =
      bits({kGuestCsum, kGuestTso4, kGuestTso6, kGuestEcn, kGuestUfo, kGuestUso4, kGuestUso6});
  const auto c = GENERATE(values<Case>({
      {"nothing", {}, 1518, 0, true},
      {"longer than the MTU", {}, 1519, kAll, false},
      {"valid, which it need not know", {.flags = kDataValid}, 60, 0, true},
      {"checksum", csum(34, 16), 60, bit(kGuestCsum), true},
      {"checksum, not negotiated", csum(34, 16), 60, 0, false},
      {"TCP over IPv4", gso(kGsoTcp4), 9000, kAll, true},
      {"TCP over IPv4, not negotiated", gso(kGsoTcp4), 9000, kAll & ~bit(kGuestTso4), false},
      {"TCP over IPv6, not negotiated", gso(kGsoTcp6), 9000, kAll & ~bit(kGuestTso6), false},
      {"ECN, not negotiated", gso(kGsoTcp4 | kGsoEcn), 9000, kAll & ~bit(kGuestEcn), false},
      {"UDP fragments, not negotiated", gso(kGsoUdp), 9000, kAll & ~bit(kGuestUfo), false},
      {"UDP segments", gso(kGsoUdpL4), 9000, kAll, true},
      {"UDP segments, not negotiated", gso(kGsoUdpL4), 9000,
       kAll & ~(bit(kGuestUso4) | bit(kGuestUso6)), false},
      {"segments of no bytes", gso(kGsoTcp4, 0), 9000, kAll, false},
      {"segments without a checksum",
       {.flags = kDataValid, .gso_type = kGsoTcp4, .gso_bytes = Le16(1448)},
       9000,
       kAll,
       false},
  }));
  CAPTURE(c.name);
  VnetHeader header = c.header;
  CHECK(accept_from_host(header, c.bytes, c.features, 1500) == c.accepted);
  if (c.features == 0 && c.accepted) CHECK(header.flags == 0);
}
