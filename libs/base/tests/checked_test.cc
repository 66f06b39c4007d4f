// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/base/checked.h"

#include <catch2/catch.hpp>
#include <cstdint>

namespace vmm {
namespace {

constexpr std::uint64_t kMax = ~std::uint64_t{0};

static_assert(!checked_add(kMax, 1) && *checked_add(kMax - 1, 1) == kMax);
static_assert(!checked_sub(std::uint32_t{0}, 1) && *checked_sub(std::uint32_t{5}, 5) == 0);
static_assert(!checked_mul(kMax, 2) && *checked_mul(std::uint64_t{3}, 4) == 12);
static_assert(!checked_cast<std::uint8_t>(256) && !checked_cast<std::uint8_t>(-1));
static_assert(*checked_cast<std::uint8_t>(255) == 255);
static_assert(*align_up(std::uint64_t{0x128}, 8) == 0x128);
static_assert(*align_up(std::uint64_t{0x128}, 16) == 0x130);
static_assert(!align_up(kMax, 16) && !align_up(std::uint64_t{1}, 0) &&
              !align_up(std::uint64_t{1}, 3));
static_assert(align_down(std::uint64_t{0x12f}, 16) == 0x120);
static_assert(is_power_of_two(64u) && !is_power_of_two(0u) && !is_power_of_two(48u));

TEST_CASE("a range fits only when neither its end nor their sum passes the size", "[checked]") {
  CHECK(fits<std::uint64_t>(0, 0, 0));
  CHECK(fits<std::uint64_t>(10, 0, 10));
  CHECK(fits<std::uint64_t>(4, 6, 10));
  CHECK_FALSE(fits<std::uint64_t>(4, 7, 10));
  CHECK_FALSE(fits<std::uint64_t>(11, 0, 10));
  CHECK_FALSE(fits<std::uint64_t>(2, kMax, 10));
}

}  // namespace
}  // namespace vmm
