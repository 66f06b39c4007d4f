// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/aarch64/layout.h"

#include <catch2/catch.hpp>

namespace vmm::arch::aarch64 {
namespace {

TEST_CASE("the address bits of a guest reach its last address", "[layout]") {
  CHECK(ipa_bits(GuestAddress(0)) == 32);
  CHECK(ipa_bits(GuestAddress(0x1'0000'0000)) == 32);
  CHECK(ipa_bits(GuestAddress(0x1'0000'0001)) == 33);
  CHECK(ipa_bits(GuestAddress(0x4'0000'0000)) == 34);
  CHECK(ipa_bits(GuestAddress(kMaxAddress)) == 52);
}

}  // namespace
}  // namespace vmm::arch::aarch64
