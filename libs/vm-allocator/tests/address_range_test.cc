// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_allocator/address_range.h"

#include <catch2/catch.hpp>

using vmm::vm_allocator::AddressRange;

namespace {
constexpr std::uint64_t kMax = ~std::uint64_t{0};
}

TEST_CASE("a range is made from a first address and a size") {
  STATIC_REQUIRE(AddressRange::from_size(0x1000, 0x100) == AddressRange{0x1000, 0x10ff});
  STATIC_REQUIRE(AddressRange::from_size(kMax, 1) == AddressRange{kMax, kMax});
  STATIC_REQUIRE(AddressRange::from_size(0, kMax) == AddressRange{0, kMax - 1});
}

TEST_CASE("a size of 0 and an end beyond the address space make no range", "[hostile]") {
  STATIC_REQUIRE_FALSE(AddressRange::from_size(0x1000, 0).has_value());
  STATIC_REQUIRE_FALSE(AddressRange::from_size(kMax, 0x100).has_value());
  STATIC_REQUIRE_FALSE(AddressRange::from_size(2, kMax).has_value());
}

TEST_CASE("ranges know their size, their members and whom they touch") {
  constexpr AddressRange range{0x1000, 0x1fff};
  STATIC_REQUIRE(range.size() == 0x1000);
  STATIC_REQUIRE(AddressRange{0, kMax}.size() == 0);  // documented: 2^64 does not fit
  STATIC_REQUIRE(range.contains(0x1000));
  STATIC_REQUIRE(range.contains(0x1fff));
  STATIC_REQUIRE_FALSE(range.contains(0x2000));
  STATIC_REQUIRE_FALSE(range.contains(0xfff));
  STATIC_REQUIRE(range.contains(AddressRange{0x1800, 0x1fff}));
  STATIC_REQUIRE_FALSE(range.contains(AddressRange{0x1800, 0x2000}));
  STATIC_REQUIRE(range.overlaps({0x1fff, 0x3000}));
  STATIC_REQUIRE(range.overlaps({0, kMax}));
  STATIC_REQUIRE_FALSE(range.overlaps({0x2000, 0x3000}));
  STATIC_REQUIRE_FALSE(range.overlaps({0, 0xfff}));
}
