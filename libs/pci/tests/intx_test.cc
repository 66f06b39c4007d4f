// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/pci/intx.h"

#include <array>
#include <catch2/catch.hpp>

#include "vmm/vm_device/testing/recorders.h"

namespace vmm::pci {
namespace {

struct Lines {
  std::array<vm_device::testing::FakeLine, 4> all;
  IntxLines intx{{all.data(), &all[1], &all[2], &all[3]}};
};

TEST_CASE("pins go round the lines, one further with each slot", "[intx]") {
  struct Case {
    std::uint8_t slot;
    std::uint8_t pin;
    std::size_t line;
  };
  Lines lines;
  for (const Case& c : {Case{0, 0, 0}, Case{0, 3, 3}, Case{1, 0, 1}, Case{1, 3, 0}, Case{4, 0, 0},
                        Case{31, 0, 3}, Case{31, 3, 2}}) {
    CHECK(lines.intx.line_of({.slot = c.slot, .pin = c.pin}) == c.line);
    const auto input = lines.intx.input({.slot = c.slot, .pin = c.pin});
    input->set(true);
    for (std::size_t i = 0; i < lines.all.size(); ++i) CHECK(lines.all[i].level() == (i == c.line));
    input->set(false);
  }
}

TEST_CASE("a line is asserted while any of its inputs is", "[intx]") {
  Lines lines;
  auto first = lines.intx.input({.slot = 1, .pin = 0});
  auto second = lines.intx.input({.slot = 5, .pin = 0});
  first->set(true);
  first->set(true);
  second->set(true);
  CHECK(lines.all[1].rises() == 1);
  first->set(false);
  CHECK(lines.all[1].level());
  second->set(false);
  second->set(false);
  CHECK_FALSE(lines.all[1].level());
  first->set(true);
  first.reset();  // an input that dies lets go
  CHECK_FALSE(lines.all[1].level());
}

}  // namespace
}  // namespace vmm::pci
