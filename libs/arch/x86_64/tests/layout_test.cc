// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/x86_64/layout.h"

#include <catch2/catch.hpp>
#include <vector>

#include "errors.h"
#include "vmm/arch/x86_64/memory_map.h"

namespace vmm::arch::x86_64 {
namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

AddressRange range(std::uint64_t base, std::uint64_t size) { return {GuestAddress(base), size}; }

TEST_CASE("RAM goes below 3 GiB first, and the rest from 4 GiB on", "[layout]") {
  struct Row {
    std::uint64_t bytes;
    std::vector<AddressRange> ranges;
  };
  const Row rows[] = {
      {2 * kMiB, {range(0, 2 * kMiB)}},
      {128 * kMiB, {range(0, 128 * kMiB)}},
      {3 * kGiB, {range(0, 3 * kGiB)}},
      {3 * kGiB + 4096, {range(0, 3 * kGiB), range(4 * kGiB, 4096)}},
      {3584 * kMiB, {range(0, 3 * kGiB), range(4 * kGiB, 512 * kMiB)}},
      {64 * kGiB, {range(0, 3 * kGiB), range(4 * kGiB, 61 * kGiB)}},
      {kMaxAddress - kGiB, {range(0, 3 * kGiB), range(4 * kGiB, kMaxAddress - 4 * kGiB)}},
  };
  for (const Row& row : rows) {
    INFO(row.bytes);
    const auto regions = ram_regions(row.bytes);
    REQUIRE(regions.has_value());
    CHECK(std::vector<AddressRange>(regions->begin(), regions->end()) == row.ranges);
    CHECK(sorted_and_disjoint({regions->begin(), regions->size()}));
    CHECK(regions->top().raw() == row.ranges.back().base.raw() + row.ranges.back().size);
  }
}

TEST_CASE("sizes of RAM that make no guest are refused", "[layout][hostile]") {
  struct Row {
    std::uint64_t bytes;
    ArchError error;
  };
  const Row rows[] = {
      {0, ArchError::kNoMemory},
      {2 * kMiB - 4096, ArchError::kNoMemory},
      {2 * kMiB + 1, ArchError::kUnalignedMemory},
      {kGiB - 512, ArchError::kUnalignedMemory},
      {kMaxAddress - kGiB + 4096, ArchError::kTooMuchMemory},
      {~std::uint64_t{4095}, ArchError::kTooMuchMemory},
  };
  for (const Row& row : rows) {
    INFO(row.bytes);
    REQUIRE_FALSE(ram_regions(row.bytes).has_value());
    CHECK(ram_regions(row.bytes).error() == row.error);
  }
}

TEST_CASE("sorted and disjoint means just that", "[layout]") {
  CHECK(sorted_and_disjoint({}));
  CHECK(sorted_and_disjoint(std::array{range(0, 1), range(1, 1), range(5, 1)}));
  CHECK_FALSE(sorted_and_disjoint(std::array{range(0, 2), range(1, 1)}));
  CHECK_FALSE(sorted_and_disjoint(std::array{range(5, 1), range(1, 1)}));
  CHECK_FALSE(sorted_and_disjoint(std::array{range(5, 0)}));
  CHECK_FALSE(sorted_and_disjoint(std::array{range(~std::uint64_t{0}, 1)}));
}

TEST_CASE("the memory map leaves out the legacy area and the hole", "[layout]") {
  const auto check = [](std::uint64_t bytes, bool ecam, const std::vector<MapEntry>& wanted) {
    const MemoryMap map = memory_map(*ram_regions(bytes), ecam);
    REQUIRE(map.entries().size() == wanted.size());
    for (std::size_t i = 0; i < wanted.size(); ++i) {
      CHECK(map.entries()[i].range == wanted[i].range);
      CHECK(map.entries()[i].type == wanted[i].type);
    }
  };
  const MapEntry low{range(0, 0xa'0000), MapType::kRam};
  check(128 * kMiB, false, {low, {range(kMiB, 127 * kMiB), MapType::kRam}});
  check(4 * kGiB, true,
        {low,
         {range(kMiB, 3 * kGiB - kMiB), MapType::kRam},
         {range(0xe800'0000, 256 * kMiB), MapType::kReserved},
         {range(4 * kGiB, kGiB), MapType::kRam}});
}

TEST_CASE("every error has a message of its own", "[error]") {
  check_words(ArchError::kTooManyCpus);
}

}  // namespace
}  // namespace vmm::arch::x86_64
