// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "src/line_state.h"

#include <array>
#include <catch2/catch.hpp>

namespace vmm::virtio_gpio {
namespace {

std::vector<std::byte> bytes(std::initializer_list<int> values) {
  std::vector<std::byte> all;
  for (const int value : values) all.push_back(static_cast<std::byte>(value));
  return all;
}

TEST_CASE("lines are bytes, and the other way round", "[state]") {
  const std::vector<LineState> lines{
      {},
      {.direction = Direction::kOut, .taken = true, .output = true},
      {.output = true},  // for when it becomes an output
      {.direction = Direction::kIn, .taken = true, .type = IrqType::kBothEdges, .latched = true},
      {.direction = Direction::kIn, .taken = true, .type = IrqType::kLowLevel}};
  const auto saved = bytes_of_lines(lines);
  CHECK(saved == bytes({0, 0, 0, 0, 1, 1, 0, 0, 0, 1, 0, 0, 2, 0, 3, 1, 2, 0, 8, 0}));
  CHECK(lines_of_bytes(saved, lines.size()) == lines);
}

TEST_CASE("lines that no driver can have made are refused", "[state][hostile]") {
  struct Case {
    const char* name;
    std::vector<std::byte> bytes;
  };
  const std::array cases{Case{"nothing", {}},
                         Case{"too few", bytes({0, 0, 0})},
                         Case{"a line too many", bytes({0, 0, 0, 0, 0, 0, 0, 0})},
                         Case{"a direction that is none", bytes({3, 0, 0, 0})},
                         Case{"a value that is none", bytes({1, 2, 0, 0})},
                         Case{"a type that is none", bytes({2, 0, 5, 0})},
                         Case{"latched more than once", bytes({2, 0, 1, 2})},
                         Case{"an interrupt of an output", bytes({1, 0, 1, 0})},
                         Case{"an interrupt of nobody's line", bytes({0, 0, 1, 0})},
                         Case{"latched without an interrupt", bytes({2, 0, 0, 1})}};
  for (const Case& c : cases) {
    CAPTURE(c.name);
    CHECK_FALSE(lines_of_bytes(c.bytes, 1));
  }
}

}  // namespace
}  // namespace vmm::virtio_gpio
