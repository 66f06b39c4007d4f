// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/thread.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <memory>
#include <thread>

#include "no_threads.h"

namespace vmm::sys_util {
namespace {

TEST_CASE("a thread runs its function and ends", "[thread]") {
  std::atomic<int> ran{0};
  auto thread = Thread::start([&] { ran = 1; });
  REQUIRE(thread);
  CHECK(thread->joinable());
  thread->join();
  CHECK(ran == 1);
  CHECK_FALSE(thread->joinable());
  thread->join();  // there is none any more
}

TEST_CASE("a thread is waited for before another takes its place", "[thread]") {
  std::atomic<int> ran{0};
  const auto one_more = [&] {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
    ++ran;
  };
  Thread thread = *Thread::start(one_more);
  thread = *Thread::start(one_more);
  CHECK(ran >= 1);
  Thread moved(std::move(thread));
  CHECK_FALSE(thread.joinable());  // NOLINT(bugprone-use-after-move)
  moved = Thread();
  CHECK(ran == 2);
}

TEST_CASE("a thread that cannot be started is an error, and leaves nothing", "[thread]") {
  const auto held = std::make_shared<int>();
  {
    const NoThreads none;
    CHECK(Thread::start([held] {}).error().is_os(EAGAIN));
  }
  CHECK(held.use_count() == 1);
  CHECK(Thread::start([] {}));
}

}  // namespace
}  // namespace vmm::sys_util
