// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "pci_share.h"

#include <catch2/catch.hpp>

namespace vmm::reference {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
constexpr PciSpace kAll{.ecam = {GuestAddress(0xe800'0000), 256 * kMiB},
                        .window32 = {GuestAddress(0xc000'0000), 640 * kMiB},
                        .window64 = {GuestAddress(8 * kGiB), 100 * kGiB + kMiB}};

void check_range(const AddressRange& range, std::uint64_t base, std::uint64_t size) {
  CHECK(range.base.raw() == base);
  CHECK(range.size == size);
}

TEST_CASE("one segment has everything", "[pci]") {
  const auto shares = share_pci(kAll, std::vector<PciSegmentConfig>(1));
  REQUIRE(shares.size() == 1);
  check_range(shares[0].ecam, 0xe800'0000, kMiB);
  check_range(shares[0].window32, 0xc000'0000, 640 * kMiB);
  check_range(shares[0].window64, 8 * kGiB, 100 * kGiB + kMiB);
}

TEST_CASE("segments share the windows by weight", "[pci]") {
  const std::vector<PciSegmentConfig> segments{{.mmio32_weight = 3, .mmio64_weight = 1}, {}};
  const auto shares = share_pci(kAll, segments);
  REQUIRE(shares.size() == 2);
  check_range(shares[0].window32, 0xc000'0000, 480 * kMiB);
  check_range(shares[1].window32, 0xc000'0000 + 480 * kMiB, 160 * kMiB);
  check_range(shares[0].window64, 8 * kGiB, 50 * kGiB);
  check_range(shares[1].window64, 58 * kGiB, 50 * kGiB);
  check_range(shares[1].ecam, 0xe810'0000, kMiB);
}

TEST_CASE("shares are disjoint, inside and in whole units, however many", "[pci]") {
  std::vector<PciSegmentConfig> segments(PciSegmentConfig::kMost);
  const std::uint32_t weight = GENERATE(1u, 7u, PciSegmentConfig::kMaxWeight);
  for (PciSegmentConfig& segment : segments) {
    segment = {.mmio32_weight = weight, .mmio64_weight = weight};
  }
  segments[5] = {.mmio32_weight = 1, .mmio64_weight = PciSegmentConfig::kMaxWeight};
  std::uint64_t end32 = kAll.window32.base.raw();
  std::uint64_t end64 = kAll.window64.base.raw();
  for (const PciSpace& share : share_pci(kAll, segments)) {
    CHECK(share.ecam.end() <= kAll.ecam.end());
    if (share.window32.size != 0) {
      CHECK(share.window32.base.raw() >= end32);
      CHECK(share.window32.base.raw() % kMiB == 0);
      end32 = share.window32.end().raw();
    }
    if (share.window64.size != 0) {
      CHECK(share.window64.base.raw() >= end64);
      CHECK(share.window64.base.raw() % kGiB == 0);
      end64 = share.window64.end().raw();
    }
  }
  CHECK(end32 == kAll.window32.end().raw());
  CHECK(end64 == kAll.window64.base.raw() + 100 * kGiB);
}

TEST_CASE("segments have as many buses as they are to, or as there is room for", "[pci]") {
  check_range(share_pci(kAll, std::vector<PciSegmentConfig>(1), 32)[0].ecam, 0xe800'0000,
              32 * kMiB);
  const auto shares = share_pci(kAll, std::vector<PciSegmentConfig>(PciSegmentConfig::kMost), 32);
  check_range(shares[0].ecam, 0xe800'0000, 2 * kMiB);
  check_range(shares[95].ecam, 0xe800'0000 + 190 * kMiB, 2 * kMiB);
}

TEST_CASE("a window that is missing or too small gives none", "[pci]") {
  PciSpace small = kAll;
  small.window64 = {};
  small.window32.size = kMiB;
  const auto shares = share_pci(small, std::vector<PciSegmentConfig>(2));
  CHECK(shares[0].window64.size == 0);
  CHECK(shares[0].window32.size == 0);
  CHECK(shares[1].window32.size == kMiB);
}

}  // namespace
}  // namespace vmm::reference
