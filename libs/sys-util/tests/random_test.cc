// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/random.h"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <vector>

using vmm::sys_util::fill_random;

TEST_CASE("as many random bytes come as were asked for, and no more") {
  for (std::size_t size = 0; size < 8; ++size) {
    std::array<std::byte, 16> bytes{};
    for (int attempt = 0; attempt < 4; ++attempt) {
      REQUIRE(fill_random(std::span(bytes).first(size)).has_value());
    }
    for (std::size_t i = size; i < bytes.size(); ++i) REQUIRE(bytes[i] == std::byte{0});
  }
}

TEST_CASE("two draws differ, also above what one system call gives") {
  std::vector<std::byte> first(4 << 20);
  std::vector<std::byte> second(first.size());
  REQUIRE(fill_random(first).has_value());
  REQUIRE(fill_random(second).has_value());
  REQUIRE(std::equal(first.begin(), first.begin() + 16, second.begin()) == false);
  REQUIRE(std::equal(first.end() - 16, first.end(), second.end() - 16) == false);
}
