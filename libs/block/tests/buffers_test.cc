// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "src/buffers.h"

#include <array>
#include <catch2/catch.hpp>
#include <cstddef>
#include <vector>

namespace vmm::block {
namespace {

TEST_CASE("what is left of a list may be listed in its own place", "[disk-queue]") {
  std::array<std::byte, 100> memory;
  const std::array<IoVec, 4> list = {
      {{memory.data(), 10}, {memory.data() + 20, 0}, {memory.data() + 30, 7}, {&memory[50], 20}}};
  constexpr std::size_t kAll = 37;
  for (std::size_t moved = 0; moved < kAll; ++moved) {
    for (std::size_t left = 1; left <= kAll - moved; ++left) {
      std::array<IoVec, 4> apart;
      BufferCursor from(list);
      from.skip(moved);
      const std::span<const IoVec> wanted = from.list(left, apart);

      std::array<IoVec, 4> own = list;
      BufferCursor rest(own);
      rest.skip(moved);
      const std::span<const IoVec> got = rest.list(left, own);
      REQUIRE(got.size() == wanted.size());
      std::size_t bytes = 0;
      for (std::size_t i = 0; i < got.size(); ++i) {
        REQUIRE(got[i].base == wanted[i].base);
        REQUIRE(got[i].bytes == wanted[i].bytes);
        bytes += got[i].bytes;
      }
      REQUIRE(bytes == left);
    }
  }
}

}  // namespace
}  // namespace vmm::block
