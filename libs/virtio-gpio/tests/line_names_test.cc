// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "src/line_names.h"

#include <catch2/catch.hpp>
#include <string>

#include "vmm/virtio_gpio/simulated_chip.h"

namespace vmm::virtio_gpio {
namespace {

std::string block(std::uint16_t lines, std::vector<std::string> names) {
  const auto chip = SimulatedChip::create({.lines = lines, .names = std::move(names)});
  REQUIRE(chip);
  const auto bytes = line_names(**chip);
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST_CASE("each line has a name or a zero", "[names]") {
  using namespace std::string_literals;
  CHECK(block(4, {"MMC-CD", "", "Red LED Vdd"}) == "MMC-CD\0\0Red LED Vdd\0\0"s);
  CHECK(block(1, {"x"}) == "x\0"s);
}

TEST_CASE("without a name there is no block", "[names]") {
  CHECK(block(4, {}).empty());
  CHECK(block(2, {"", ""}).empty());
}

TEST_CASE("names that the format forbids are left out", "[names][hostile]") {
  using namespace std::string_literals;
  CHECK(block(3, {"a", "a", "b"}) == "a\0\0b\0"s);
  CHECK(block(3, {"a\n", "\xc3\xa4", "b"}) == "\0\0b\0"s);
  CHECK(block(2, {"a\0b"s, "c"}) == "\0c\0"s);
}

}  // namespace
}  // namespace vmm::virtio_gpio
