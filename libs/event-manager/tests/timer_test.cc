// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/event_manager/timer.h"

#include <catch2/catch.hpp>
#include <cerrno>
#include <optional>
#include <thread>
#include <vector>

using namespace vmm;
using namespace vmm::event_manager;
using std::chrono::milliseconds;

namespace {
constexpr milliseconds kNoWait{0};
}

TEST_CASE("a timer is silent until it is armed, then calls its handler once") {
  EventLoop loop = *EventLoop::create();
  std::vector<std::uint64_t> calls;
  Timer timer = *Timer::create(loop, [&](std::uint64_t count) { calls.push_back(count); });
  REQUIRE(*loop.run_once(milliseconds(2)) == 0);
  const auto start = std::chrono::steady_clock::now();
  REQUIRE(timer.arm({.after = milliseconds(20)}).has_value());
  REQUIRE(*loop.run_once() == 1);
  REQUIRE(std::chrono::steady_clock::now() - start >= milliseconds(20));
  REQUIRE(*loop.run_once(milliseconds(2)) == 0);
  REQUIRE(calls == std::vector<std::uint64_t>{1});
}

TEST_CASE("a periodic timer tells how many periods passed") {
  EventLoop loop = *EventLoop::create();
  std::uint64_t total = 0;
  Timer timer = *Timer::create(loop, [&](std::uint64_t count) { total += count; });
  REQUIRE(timer.arm({.after = milliseconds(5), .every = milliseconds(5)}).has_value());
  std::this_thread::sleep_for(milliseconds(32));
  REQUIRE(*loop.run_once() == 1);
  REQUIRE(total >= 6);
  REQUIRE(timer.disarm().has_value());
  REQUIRE(*loop.run_once(milliseconds(10)) == 0);
}

TEST_CASE("a timer that another handler of the same round disarmed does not call") {
  EventLoop loop = *EventLoop::create();
  std::optional<Timer> timers[2];
  int calls = 0;
  for (int i = 0; i < 2; ++i) {
    timers[i] = *Timer::create(loop, [&, i](std::uint64_t) {
      ++calls;
      REQUIRE(timers[1 - i]->disarm().has_value());
    });
  }
  // A timer may go off late: it is tried until both are ready in one round.
  std::size_t ready = 0;
  for (int tries = 0; tries < 1000 && ready != 2; ++tries) {
    for (auto& timer : timers) REQUIRE(timer->arm({.after = milliseconds(1)}).has_value());
    std::this_thread::sleep_for(milliseconds(10));
    calls = 0;
    ready = *loop.run_once(kNoWait);
    REQUIRE(calls == (ready == 0 ? 0 : 1));
  }
  REQUIRE(ready == 2);
}

TEST_CASE("a timer may go from inside its own handler, and outlive its loop") {
  std::optional<Timer> survivor;
  {
    EventLoop loop = *EventLoop::create();
    std::optional<Timer> timer;
    int calls = 0;
    timer = *Timer::create(loop, [&](std::uint64_t) {
      timer.reset();
      ++calls;
    });
    REQUIRE(timer->arm({.after = milliseconds(0), .every = milliseconds(1)}).has_value());
    REQUIRE(*loop.run_once() == 1);
    REQUIRE(calls == 1);
    REQUIRE(*loop.run_once(milliseconds(5)) == 0);
    survivor = *Timer::create(loop, [](std::uint64_t) {});
  }
  REQUIRE(survivor->arm({.after = milliseconds(1)}).has_value());
}

TEST_CASE("a timer without a handler and times below 0 are refused", "[hostile]") {
  EventLoop loop = *EventLoop::create();
  REQUIRE(Timer::create(loop, nullptr).error().is_os(EINVAL));
  Timer timer = *Timer::create(loop, [](std::uint64_t) {});
  REQUIRE(timer.arm({.after = milliseconds(-1)}).error().is_os(EINVAL));
}
