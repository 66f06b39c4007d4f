// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/base/guest_address.h"

#include <catch2/catch.hpp>

namespace vmm {
namespace {

constexpr GuestAddress kTop(~std::uint64_t{0});

static_assert(!kTop.checked_add(1) && *GuestAddress(1).checked_add(2) == GuestAddress(3));
static_assert(!GuestAddress(0).checked_sub(1) && *kTop.checked_sub(0) == kTop);
static_assert(!GuestAddress(1).offset_from(GuestAddress(2)));
static_assert(*GuestAddress(0x128).align_up(8) == GuestAddress(0x128));
static_assert(*GuestAddress(0x128).align_up(16) == GuestAddress(0x130));
static_assert(!kTop.align_up(16) && !GuestAddress(1).align_up(3));

TEST_CASE("guest addresses are ordered and know their alignment", "[guest_address]") {
  CHECK(GuestAddress(1) < GuestAddress(2));
  CHECK(GuestAddress(0x2000).is_aligned(0x1000));
  CHECK_FALSE(GuestAddress(0x2001).is_aligned(0x1000));
  CHECK(*GuestAddress(7).offset_from(GuestAddress(3)) == 4);
}

}  // namespace
}  // namespace vmm
