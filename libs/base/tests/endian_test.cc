// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/base/endian.h"

#include <array>
#include <bit>
#include <catch2/catch.hpp>

namespace vmm {
namespace {

static_assert(std::has_unique_object_representations_v<Le32>);
static_assert(sizeof(Le64) == 8 && alignof(Le64) == 8);

TEST_CASE("endian integers keep their byte order in memory", "[endian]") {
  const auto le = std::bit_cast<std::array<unsigned char, 4>>(Le32(0x01020304));
  CHECK(le == std::array<unsigned char, 4>{4, 3, 2, 1});
  const auto be = std::bit_cast<std::array<unsigned char, 4>>(Be32(0x01020304));
  CHECK(be == std::array<unsigned char, 4>{1, 2, 3, 4});
  CHECK(Be16(0xabcd).get() == 0xabcd);
  CHECK(Le<std::uint8_t>(7).get() == 7);
}

TEST_CASE("loads and stores work at any alignment", "[endian]") {
  std::array<std::byte, 9> bytes{};
  store_le<std::uint64_t>(bytes.data() + 1, 0x1122334455667788);
  CHECK(bytes[1] == std::byte{0x88});
  CHECK(bytes[8] == std::byte{0x11});
  CHECK(load_le<std::uint64_t>(bytes.data() + 1) == 0x1122334455667788);
  CHECK(load_le<std::uint16_t>(bytes.data() + 1) == 0x7788);
}

}  // namespace
}  // namespace vmm
