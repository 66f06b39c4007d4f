// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/signal_fd.h"

#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>

#include "vmm/sys_util/signal.h"

using namespace vmm;
using namespace vmm::sys_util;

TEST_CASE("signals become events, in the order of their numbers") {
  const std::array signals = {SIGUSR1, *realtime_signal(5)};
  const SignalFd fd = *SignalFd::create(signals);
  REQUIRE_FALSE(fd.take()->has_value());
  REQUIRE(::kill(::getpid(), signals[1]) == 0);
  REQUIRE(::kill(::getpid(), signals[0]) == 0);
  const auto first = *fd.take();
  REQUIRE(first.has_value());
  REQUIRE(first->number == SIGUSR1);
  REQUIRE(first->sender_pid == ::getpid());
  REQUIRE((*fd.take())->number == signals[1]);
  REQUIRE_FALSE(fd.take()->has_value());
  for (const int number : signals) REQUIRE(unblock_signal(number).has_value());
}

TEST_CASE("a signal stays blocked after its descriptor is gone") {
  const std::array signals = {SIGUSR1};
  REQUIRE(SignalFd::create(signals).has_value());
  REQUIRE(*is_signal_blocked(SIGUSR1));
  REQUIRE(unblock_signal(SIGUSR1).has_value());
}

TEST_CASE("signals that cannot be received are refused and nothing is blocked", "[hostile]") {
  for (const int bad : {0, -1, SIGKILL, SIGSTOP, SIGRTMAX + 1}) {
    const std::array signals = {SIGUSR1, bad};
    REQUIRE(SignalFd::create(signals).error().is_os(EINVAL));
    REQUIRE_FALSE(*is_signal_blocked(SIGUSR1));
  }
}
