// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/patience.h"

#include <catch2/catch.hpp>

namespace vmm::sys_util {
namespace {

using std::chrono::milliseconds;

/// Asks, and is answered after `takes`, or as late as the patience allows; what it took.
struct Conversation {
  milliseconds ask(milliseconds takes) {
    const auto begun = now;
    const auto took = std::min<Patience::Clock::duration>(takes, patience.left(now));
    now += took;
    patience.spend(begun, now);
    return std::chrono::duration_cast<milliseconds>(took);
  }

  Patience patience{milliseconds(10'000)};
  Patience::Clock::time_point now = Patience::Clock::now();
};

TEST_CASE("who answers soon never runs out of time", "[patience]") {
  Conversation peer;
  for (int i = 0; i < 10'000; ++i) REQUIRE(peer.ask(milliseconds(100)) == milliseconds(100));
  CHECK(peer.ask(milliseconds(20'000)) == milliseconds(10'000));
}

TEST_CASE("who answers at the last moment has no time left soon", "[patience][hostile]") {
  Conversation peer;
  milliseconds all(0);
  int slow = 0;
  for (int i = 0; i < 100; ++i) {
    const auto took = peer.ask(milliseconds(9'900));
    if (took < milliseconds(9'900)) break;  // a conversation that has timed out is over
    all += took;
    ++slow;
  }
  CHECK(slow == 1);
  CHECK(all < milliseconds(10'000));
}

TEST_CASE("time comes back", "[patience]") {
  Conversation peer;
  CHECK(peer.ask(milliseconds(9'000)) == milliseconds(9'000));
  peer.now += std::chrono::seconds(20);
  CHECK(peer.ask(milliseconds(9'000)) == milliseconds(9'000));
}

TEST_CASE("a clock that does not go on makes no time", "[patience]") {
  Conversation peer;
  (void)peer.ask(milliseconds(20'000));
  const auto left = peer.patience.left(peer.now);
  CHECK(peer.patience.left(peer.now) == left);
  CHECK(peer.patience.left(peer.now - std::chrono::hours(1)) == left);
}

}  // namespace
}  // namespace vmm::sys_util
