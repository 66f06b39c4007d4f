// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/aarch64/layout.h"

#include <catch2/catch.hpp>
#include <vector>

#include "errors.h"

namespace vmm::arch::aarch64 {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
constexpr std::uint64_t kLow = 3008 * kMiB;  // up to the hole

AddressRange range(std::uint64_t base, std::uint64_t size) { return {GuestAddress(base), size}; }

TEST_CASE("RAM goes from 1 GiB to the hole first, and the rest from 4 GiB on", "[layout]") {
  struct Row {
    std::uint64_t bytes;
    std::vector<AddressRange> ranges;
  };
  const Row rows[] = {
      {8 * kMiB, {range(kGiB, 8 * kMiB)}},
      {256 * kMiB, {range(kGiB, 256 * kMiB)}},
      {kLow, {range(kGiB, kLow)}},
      {kLow + 4096, {range(kGiB, kLow), range(4 * kGiB, 4096)}},
      {3 * kGiB, {range(kGiB, kLow), range(4 * kGiB, 64 * kMiB)}},
      {64 * kGiB, {range(kGiB, kLow), range(4 * kGiB, 64 * kGiB - kLow)}},
      {kMaxAddress - 4 * kGiB + kLow, {range(kGiB, kLow), range(4 * kGiB, kMaxAddress - 4 * kGiB)}},
  };
  for (const Row& row : rows) {
    INFO(row.bytes);
    const auto regions = ram_regions(row.bytes);
    REQUIRE(regions.has_value());
    CHECK(std::vector<AddressRange>(regions->begin(), regions->end()) == row.ranges);
    CHECK(sorted_and_disjoint({regions->data(), regions->size()}));
    CHECK(regions->top() == row.ranges.back().end());
    CHECK(regions->initrd_limit() == row.ranges.front().end());
  }
}

TEST_CASE("sizes of RAM that make no guest are refused", "[layout][hostile]") {
  struct Row {
    std::uint64_t bytes;
    ArchError error;
  };
  const Row rows[] = {
      {0, ArchError::kNoMemory},
      {8 * kMiB - 4096, ArchError::kNoMemory},
      {8 * kMiB + 1, ArchError::kUnalignedMemory},
      {kMaxAddress - 4 * kGiB + kLow + 4096, ArchError::kTooMuchMemory},
      {~std::uint64_t{4095}, ArchError::kTooMuchMemory},
  };
  for (const Row& row : rows) {
    INFO(row.bytes);
    REQUIRE_FALSE(ram_regions(row.bytes).has_value());
    CHECK(ram_regions(row.bytes).error() == row.error);
  }
}

TEST_CASE("the interrupt controller grows downwards from its distributor", "[layout]") {
  CHECK(redistributors(1) == range(0x08fd'0000, 0x2'0000));
  CHECK(its(1) == range(0x08fb'0000, 0x2'0000));
  for (std::uint32_t vcpus = 1; vcpus <= kMaxVcpus; ++vcpus) {
    CHECK(redistributors(vcpus).end() == kGicDistributor.base);
    CHECK(its(vcpus).end() == redistributors(vcpus).base);
    CHECK(its(vcpus).base.is_aligned(0x1'0000));
  }
  CHECK(its(kMaxVcpus).base > kFirmware.end());
}

TEST_CASE("the 64-bit PCI window is behind all RAM", "[layout]") {
  struct Row {
    std::uint64_t ram;
    std::uint64_t bytes;
    AddressRange window;
  };
  const Row rows[] = {
      {256 * kMiB, kPciWindow64Bytes, range(8 * kGiB, 8 * kGiB)},
      {3 * kGiB, kGiB, range(8 * kGiB, kGiB)},
      {kLow + 4 * kGiB, kGiB, range(8 * kGiB, kGiB)},
      {kLow + 4 * kGiB + 4096, kGiB, range(12 * kGiB, kGiB)},
      {kLow + 92 * kGiB, 64 * kGiB, range(96 * kGiB, 64 * kGiB)},
      {kLow, kMaxAddress - 8 * kGiB, range(8 * kGiB, kMaxAddress - 8 * kGiB)},
  };
  for (const Row& row : rows) {
    INFO(row.ram);
    const auto window = pci_window64(*ram_regions(row.ram), row.bytes);
    REQUIRE(window.has_value());
    CHECK(*window == row.window);
  }
  CHECK(*pci_window64(GuestAddress(9 * kGiB), kGiB) == range(12 * kGiB, kGiB));
  const RamRegions ram = *ram_regions(kLow);
  for (const std::uint64_t bytes :
       {std::uint64_t{0}, kMaxAddress - 8 * kGiB + 1, ~std::uint64_t{0}}) {
    const auto window = pci_window64(ram, bytes);
    REQUIRE_FALSE(window.has_value());
    CHECK(window.error() == ArchError::kBadRange);
  }
}

TEST_CASE("the address bits of a guest reach its last address", "[layout]") {
  CHECK(ipa_bits(GuestAddress(0)) == 32);
  CHECK(ipa_bits(GuestAddress(0x1'0000'0000)) == 32);
  CHECK(ipa_bits(GuestAddress(0x1'0000'0001)) == 33);
  CHECK(ipa_bits(pci_window64(*ram_regions(256 * kMiB))->end()) == 34);
  CHECK(ipa_bits(GuestAddress(kMaxAddress)) == 52);
}

TEST_CASE("every error has a message of its own", "[error]") { check_words(ArchError::kNoMsi); }

}  // namespace
}  // namespace vmm::arch::aarch64
