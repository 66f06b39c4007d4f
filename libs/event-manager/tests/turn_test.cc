// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/event_manager/turn.h"

#include <catch2/catch.hpp>
#include <chrono>

namespace vmm::event_manager {
namespace {

TEST_CASE("a turn is over after its time, and stays so", "[turn]") {
  using Clock = std::chrono::steady_clock;
  const auto begun = Clock::now();
  const Turn turn;
  while (!turn.over()) {
    REQUIRE(Clock::now() - begun < std::chrono::minutes(1));
  }
  CHECK(turn.over());
}

}  // namespace
}  // namespace vmm::event_manager
