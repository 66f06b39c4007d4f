// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost/memory_table.h"

#include <array>
#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

#include "errors.h"
#include "linux_vhost.h"

using namespace vmm;
using namespace vmm::vhost;
using vm_memory::RegionSpan;

namespace {

// Memory that is never touched.
std::span<std::byte> host(std::uint64_t at, std::uint64_t bytes) {
  return {reinterpret_cast<std::byte*>(at), bytes};
}

std::vector<RegionSpan> regions(std::size_t count) {
  std::vector<RegionSpan> all;
  for (std::uint64_t i = 0; i < count; ++i) {
    all.push_back({.base = GuestAddress(i * 0x2000), .host = host(0x10'0000 + i * 0x1000, 0x1000)});
  }
  return all;
}

VhostError error_of(std::vector<RegionSpan> all) {
  const auto table = MemoryTable::create(all);
  REQUIRE_FALSE(table);
  return table.error();
}

}  // namespace

TEST_CASE("a table says where each region is", "[memory]") {
  const auto all = regions(3);
  const auto table = MemoryTable::create(all);
  REQUIRE(table);
  CHECK(table->size() == 3);
  REQUIRE(table->bytes() == sizeof(vhost_memory) + 3 * sizeof(vhost_memory_region));
  std::array<std::uint32_t, 2> header{};  // the count, and padding
  std::memcpy(header.data(), table->data(), sizeof(header));
  CHECK(header == std::array<std::uint32_t, 2>{3, 0});
  for (std::size_t i = 0; i < all.size(); ++i) {
    vhost_memory_region region{};
    std::memcpy(&region,
                static_cast<const std::byte*>(table->data()) + sizeof(header) + i * sizeof(region),
                sizeof(region));
    CHECK(region.guest_phys_addr == all[i].base.raw());
    CHECK(region.memory_size == 0x1000);
    CHECK(region.userspace_addr == 0x10'0000 + i * 0x1000);
    CHECK(region.flags_padding == 0);
  }
}

TEST_CASE("a table has 1 to 255 regions", "[memory]") {
  CHECK(error_of({}) == VhostError::kNoRegions);
  CHECK(MemoryTable::create(regions(1)));
  CHECK(MemoryTable::create(regions(255)));
  CHECK(error_of(regions(256)) == VhostError::kTooManyRegions);
}

TEST_CASE("regions that cannot be are refused", "[memory][hostile]") {
  constexpr std::uint64_t kEnd = ~std::uint64_t{0};
  const auto at = [](std::uint64_t base, std::uint64_t bytes) {
    return RegionSpan{.base = GuestAddress(base), .host = host(0x10'0000, bytes)};
  };
  CHECK(error_of({at(0, 0)}) == VhostError::kEmptyRegion);
  CHECK(error_of({at(kEnd - 0xffe, 0x1000)}) == VhostError::kRegionOverflow);
  CHECK(MemoryTable::create(std::vector{at(kEnd - 0xfff, 0x1000)}));  // up to the last byte
  CHECK(error_of({at(kEnd - 0xfff, 0x1000), at(0, 0x1000)}) == VhostError::kUnsorted);
  CHECK(error_of({at(0x1000, 0x1000), at(0, 0x1000)}) == VhostError::kUnsorted);
  CHECK(error_of({at(0, 0x1001), at(0x1000, 0x1000)}) == VhostError::kUnsorted);
  CHECK(MemoryTable::create(std::vector{at(0, 0x1000), at(0x1000, 0x1000)}));  // they may touch
}

TEST_CASE("each error has a text of its own", "[error]") {
  check_words(VhostError::kNoAddressSpaces);
}
