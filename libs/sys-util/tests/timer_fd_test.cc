// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/timer_fd.h"

#include <poll.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <thread>

using namespace vmm;
using std::chrono::milliseconds;
using std::chrono::steady_clock;
using sys_util::TimerFd;

namespace {

constexpr int kPatienceMs = 60'000;

bool wait_readable(const TimerFd& timer, int timeout_ms = kPatienceMs) {
  pollfd poll{.fd = timer.fd(), .events = POLLIN, .revents = 0};
  return ::poll(&poll, 1, timeout_ms) == 1;
}

}  // namespace

TEST_CASE("a new timer is not armed and nothing has expired") {
  const TimerFd timer = *TimerFd::create();
  REQUIRE_FALSE(*timer.is_armed());
  REQUIRE(*timer.take() == 0);
  REQUIRE_FALSE(wait_readable(timer, 0));
}

TEST_CASE("a single shot expires once and not early") {
  const TimerFd timer = *TimerFd::create();
  REQUIRE(timer.arm({.after = std::chrono::hours(1)}).has_value());
  REQUIRE(*timer.is_armed());
  REQUIRE(*timer.take() == 0);
  const auto start = steady_clock::now();
  REQUIRE(timer.arm({.after = milliseconds(50)}).has_value());
  REQUIRE(wait_readable(timer));
  REQUIRE(steady_clock::now() - start >= milliseconds(50));
  REQUIRE(*timer.take() == 1);
  REQUIRE(*timer.take() == 0);
  REQUIRE_FALSE(*timer.is_armed());
}

TEST_CASE("an interval counts the expirations that nobody took") {
  const TimerFd timer = *TimerFd::create();
  REQUIRE(timer.arm({.after = milliseconds(20), .every = milliseconds(10)}).has_value());
  std::this_thread::sleep_for(milliseconds(65));
  REQUIRE(wait_readable(timer));
  REQUIRE(*timer.take() >= 5);
  REQUIRE(*timer.is_armed());
}

TEST_CASE("a timer that is disarmed, or armed anew, forgets what was before") {
  const TimerFd timer = *TimerFd::create();
  REQUIRE(timer.arm({.after = milliseconds(1)}).has_value());
  REQUIRE(wait_readable(timer));
  REQUIRE(timer.disarm().has_value());
  REQUIRE(*timer.take() == 0);
  REQUIRE_FALSE(*timer.is_armed());

  REQUIRE(timer.arm({.after = milliseconds(1)}).has_value());
  REQUIRE(wait_readable(timer));
  REQUIRE(timer.arm({.after = std::chrono::hours(1)}).has_value());
  REQUIRE(*timer.take() == 0);
}

TEST_CASE("a delay of 0 expires at once instead of disarming") {
  const TimerFd timer = *TimerFd::create();
  REQUIRE(timer.arm({.after = milliseconds(0)}).has_value());
  REQUIRE(wait_readable(timer));
  REQUIRE(*timer.take() == 1);
}

TEST_CASE("negative times are refused", "[hostile]") {
  const TimerFd timer = *TimerFd::create();
  REQUIRE(timer.arm({.after = milliseconds(-1)}).error().is_os(EINVAL));
  REQUIRE(timer.arm({.after = milliseconds(1), .every = milliseconds(-1)}).error().is_os(EINVAL));
  REQUIRE_FALSE(*timer.is_armed());
}

TEST_CASE("the longest time that can be said is accepted") {
  const TimerFd timer = *TimerFd::create();
  REQUIRE(timer.arm({.after = std::chrono::nanoseconds::max()}).has_value());
  REQUIRE(*timer.is_armed());
}
