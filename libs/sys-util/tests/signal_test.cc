// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/signal.h"

#include <unistd.h>

#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <thread>

using namespace vmm;
using namespace vmm::sys_util;

namespace {

std::atomic<int> handled{0};
void count(int) { handled.fetch_add(1); }

}  // namespace

TEST_CASE("valid signals are the standard and the realtime ones") {
  for (const int number : {SIGHUP, SIGKILL, SIGUSR1, SIGSYS, SIGRTMIN, SIGRTMIN + 1, SIGRTMAX}) {
    REQUIRE(is_valid_signal(number));
  }
  for (const int number : {-1, 0, SIGSYS + 1, SIGRTMIN - 1, SIGRTMAX + 1}) {
    REQUIRE_FALSE(is_valid_signal(number));
    REQUIRE(set_signal_handler(number, count).error().is_os(EINVAL));
    REQUIRE(set_empty_signal_handler(number).error().is_os(EINVAL));
    REQUIRE(ignore_signal(number).error().is_os(EINVAL));
    REQUIRE(reset_signal_handler(number).error().is_os(EINVAL));
    REQUIRE(block_signal(number).error().is_os(EINVAL));
    REQUIRE(unblock_signal(number).error().is_os(EINVAL));
    REQUIRE(is_signal_blocked(number).error().is_os(EINVAL));
    REQUIRE(drain_signal(number).error().is_os(EINVAL));
    REQUIRE(signal_thread(ThreadId::current(), number).error().is_os(EINVAL));
  }
}

TEST_CASE("realtime signals are counted from the first that the C library leaves free") {
  REQUIRE(*realtime_signal(0) == SIGRTMIN);
  REQUIRE(*realtime_signal(SIGRTMAX - SIGRTMIN) == SIGRTMAX);
  REQUIRE(realtime_signal(SIGRTMAX - SIGRTMIN + 1).error().is_os(EINVAL));
  REQUIRE(realtime_signal(-1).error().is_os(EINVAL));
}

TEST_CASE("signals that cannot be caught are refused", "[hostile]") {
  REQUIRE(set_signal_handler(SIGKILL, count).error().is_os(EINVAL));
  REQUIRE(set_signal_handler(SIGSTOP, count).error().is_os(EINVAL));
  REQUIRE(set_empty_signal_handler(SIGKILL).error().is_os(EINVAL));
}

TEST_CASE("a blocked signal waits until it is unblocked") {
  const int signal = *realtime_signal(2);
  handled = 0;
  REQUIRE(set_signal_handler(signal, count).has_value());
  REQUIRE_FALSE(*is_signal_blocked(signal));
  REQUIRE(block_signal(signal).has_value());
  REQUIRE(block_signal(signal).error().is_os(EALREADY));
  REQUIRE(*is_signal_blocked(signal));
  REQUIRE(signal_thread(ThreadId::current(), signal).has_value());
  REQUIRE(handled == 0);
  REQUIRE(unblock_signal(signal).has_value());
  REQUIRE(handled == 1);
  REQUIRE_FALSE(*is_signal_blocked(signal));
  REQUIRE(unblock_signal(signal).has_value());
}

TEST_CASE("draining discards every pending instance") {
  const int signal = *realtime_signal(3);
  handled = 0;
  REQUIRE(set_signal_handler(signal, count).has_value());
  REQUIRE(block_signal(signal).has_value());
  for (int i = 0; i < 5; ++i) REQUIRE(signal_thread(ThreadId::current(), signal).has_value());
  REQUIRE(drain_signal(signal).has_value());
  REQUIRE(drain_signal(signal).has_value());
  REQUIRE(unblock_signal(signal).has_value());
  REQUIRE(handled == 0);
}

TEST_CASE("a kick interrupts the blocking system call of one thread") {
  const int signal = *realtime_signal(4);
  REQUIRE(set_empty_signal_handler(signal).has_value());
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  std::atomic<int> tid{0};
  std::atomic<bool> interrupted{false};
  std::thread blocked([&] {
    tid = ThreadId::current().tid;
    char byte = 0;
    interrupted = ::read(ends[0], &byte, 1) < 0 && errno == EINTR;
    tid = 0;
  });
  while (tid == 0) std::this_thread::yield();
  const ThreadId target{tid};
  while (tid != 0) {
    static_cast<void>(signal_thread(target, signal));  // it may end in between
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  blocked.join();
  REQUIRE(interrupted);
  REQUIRE(::close(ends[0]) == 0);
  REQUIRE(::close(ends[1]) == 0);
}

TEST_CASE("signalling a thread that ended is an error, not undefined") {
  ThreadId ended{};
  std::thread([&] { ended = ThreadId::current(); }).join();
  // The kernel lets join() go on a moment before the thread is gone.
  auto sent = signal_thread(ended, *realtime_signal(0));
  for (int i = 0; sent.has_value() && i < 30'000; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
    sent = signal_thread(ended, *realtime_signal(0));
  }
  REQUIRE_FALSE(sent.has_value());
  REQUIRE(sent.error().is_os(ESRCH));
}

TEST_CASE("an ignored signal does nothing") {
  REQUIRE(ignore_signal(SIGUSR2).has_value());
  REQUIRE(signal_thread(ThreadId::current(), SIGUSR2).has_value());
  REQUIRE(reset_signal_handler(SIGUSR2).has_value());
}
