// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/event_manager/poster.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "vmm/event_manager/event_loop.h"
#include "vmm/event_manager/loop_thread.h"
#include "vmm/sys_util/event_fd.h"

using namespace vmm;
using namespace vmm::event_manager;
using std::chrono::milliseconds;

namespace {

constexpr milliseconds kNoWait{0};

}  // namespace

TEST_CASE("posted functions run in their order, after the handlers of the round") {
  EventLoop loop = *EventLoop::create();
  const sys_util::EventFd fd = *sys_util::EventFd::create(1);
  std::string order;
  const Registration registration = *loop.add(fd.fd(), kReadable, [&](EventSet) { order += 'h'; });
  for (const char c : {'1', '2', '3'}) loop.post([&order, c] { order += c; });
  REQUIRE(order.empty());
  REQUIRE(*loop.run_once(kNoWait) == 1);
  REQUIRE(order == "h123");
}

TEST_CASE("what the loop's thread posts runs in the next round, not at once") {
  EventLoop loop = *EventLoop::create();
  int depth = 0;
  loop.post([&] {
    loop.post([&] { depth = 2; });
    depth = 1;
  });
  REQUIRE(*loop.run_once(kNoWait) == 0);
  REQUIRE(depth == 1);
  REQUIRE(*loop.run_once(kNoWait) == 0);
  REQUIRE(depth == 2);
}

TEST_CASE("functions from many threads all run, each once, on the loop's thread") {
  constexpr int kThreads = 4;
  constexpr int kEach = 500;
  std::vector<int> counts(kThreads);  // no lock: only the loop's thread writes
  std::atomic<bool> elsewhere{false};
  std::thread::id id;  // outlives the loop, whose end runs what is left
  {
    const auto running = *LoopThread::create("loop");
    running->call([&] { id = std::this_thread::get_id(); });
    std::vector<std::thread> threads;
    for (std::size_t t = 0; t < kThreads; ++t) {
      threads.emplace_back([&, t, poster = running->loop().poster()] {
        for (int i = 0; i < kEach; ++i) {
          static_cast<void>(poster.post([&, t] {
            ++counts[t];
            if (std::this_thread::get_id() != id) elsewhere = true;
          }));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
  REQUIRE(counts == std::vector<int>(kThreads, kEach));
  REQUIRE_FALSE(elsewhere);
}

TEST_CASE("a call returns after its function did, and what it wrote can be read") {
  const auto running = *LoopThread::create("loop");
  const Poster poster = running->loop().poster();
  for (int i = 0; i < 200; ++i) {
    int answer = 0;
    REQUIRE(poster.call([&] { answer = i; }).has_value());
    REQUIRE(answer == i);
  }
}

TEST_CASE("a call from the loop's own thread runs at once instead of waiting for itself") {
  EventLoop loop = *EventLoop::create();
  std::string order;
  loop.post([&] {
    order += 'a';
    REQUIRE(loop.poster().call([&] { order += 'b'; }).has_value());
    order += 'c';
  });
  REQUIRE(*loop.run_once(kNoWait) == 0);
  REQUIRE(order == "abc");
}

TEST_CASE("a wake-up ends a wait without any work") {
  EventLoop loop = *EventLoop::create();
  const Poster poster = loop.poster();
  std::thread waker([&] {
    std::this_thread::sleep_for(milliseconds(5));
    poster.wake();
  });
  REQUIRE(*loop.run_once() == 0);
  waker.join();
  REQUIRE(*loop.run_once(kNoWait) == 0);
}

TEST_CASE("posting to a loop that ended is an error, and nothing posted is leaked", "[hostile]") {
  const auto alive = std::make_shared<int>(0);
  std::optional<Poster> poster;
  {
    EventLoop loop = *EventLoop::create();
    poster = loop.poster();
    REQUIRE(poster->post([alive] { ++*alive; }).has_value());
  }
  REQUIRE(*alive == 0);
  REQUIRE(alive.use_count() == 1);
  REQUIRE(poster->post([] {}).error().is_os(ESHUTDOWN));
  REQUIRE(poster->call([] {}).error().is_os(ESHUTDOWN));
  poster->wake();
}

TEST_CASE("a call that waits when the loop ends comes back with an error", "[hostile]") {
  std::optional<EventLoop> loop(*EventLoop::create());
  const Poster poster = loop->poster();
  std::atomic<bool> shut_down{false};
  std::atomic<bool> started{false};
  std::thread caller([&] {
    started = true;
    shut_down = poster.call([] {}).error().is_os(ESHUTDOWN);
  });
  while (!started) std::this_thread::yield();
  std::this_thread::sleep_for(milliseconds(5));
  loop.reset();
  caller.join();
  REQUIRE(shut_down);
}

TEST_CASE("empty functions are refused", "[hostile]") {
  const EventLoop loop = *EventLoop::create();
  REQUIRE(loop.poster().post(nullptr).error().is_os(EINVAL));
  REQUIRE(loop.poster().call(nullptr).error().is_os(EINVAL));
}
