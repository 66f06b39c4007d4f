// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/epoll.h"

#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <set>
#include <thread>
#include <vector>

#include "vmm/sys_util/event_fd.h"
#include "vmm/sys_util/signal.h"

using namespace vmm;
using namespace vmm::sys_util;

TEST_CASE("a ready descriptor is reported with its token") {
  const Epoll epoll = *Epoll::create();
  const EventFd event = *EventFd::create();
  constexpr std::uint64_t kToken = 0xfedc'ba98'7654'3210;
  REQUIRE(epoll.add(event.fd(), kReadable, kToken).has_value());
  std::array<EpollEvent, 4> ready{};
  REQUIRE(*epoll.wait(ready, 0) == 0);
  REQUIRE(event.add(1).has_value());
  REQUIRE(*epoll.wait(ready, -1) == 1);
  REQUIRE(ready[0].events() == kReadable);
  REQUIRE(std::uint64_t{ready[0].token} == kToken);
}

TEST_CASE("a descriptor is added once, and known before it is changed or removed") {
  const Epoll epoll = *Epoll::create();
  const EventFd event = *EventFd::create();
  REQUIRE(epoll.modify(event.fd(), kReadable, 0).error().is_os(ENOENT));
  REQUIRE(epoll.remove(event.fd()).error().is_os(ENOENT));
  REQUIRE(epoll.add(event.fd(), kReadable, 0).has_value());
  REQUIRE(epoll.add(event.fd(), kReadable, 0).error().is_os(EEXIST));
  REQUIRE(epoll.remove(event.fd()).has_value());
  REQUIRE(epoll.remove(event.fd()).error().is_os(ENOENT));
}

TEST_CASE("no interest silences a descriptor") {
  const Epoll epoll = *Epoll::create();
  const EventFd event = *EventFd::create(1);
  std::array<EpollEvent, 4> ready{};
  REQUIRE(epoll.add(event.fd(), kReadable | kWritable, 0).has_value());
  REQUIRE(*epoll.wait(ready, 0) == 1);
  REQUIRE(ready[0].events() == (kReadable | kWritable));
  REQUIRE(epoll.modify(event.fd(), kNoEvents, 0).has_value());
  REQUIRE(*epoll.wait(ready, 0) == 0);
}

TEST_CASE("more ready descriptors than fit are all delivered over repeated waits") {
  const Epoll epoll = *Epoll::create();
  std::vector<EventFd> events;
  for (std::uint64_t i = 0; i < 33; ++i) {
    events.push_back(*EventFd::create(1));
    REQUIRE(epoll.add(events.back().fd(), kReadable, i).has_value());
  }
  std::set<std::uint64_t> seen;
  std::array<EpollEvent, 16> ready{};
  for (int round = 0; round < 3; ++round) {
    const std::size_t count = *epoll.wait(ready, 0);
    for (std::size_t i = 0; i < count; ++i) seen.insert(std::uint64_t{ready[i].token});
  }
  REQUIRE(seen.size() == 33);
}

TEST_CASE("a wait that a signal interrupts says so") {
  const int signal = *realtime_signal(1);
  REQUIRE(set_empty_signal_handler(signal).has_value());
  const Epoll epoll = *Epoll::create();
  const ThreadId waiter = ThreadId::current();
  std::jthread kicker([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      static_cast<void>(signal_thread(waiter, signal));
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  });
  std::array<EpollEvent, 1> ready{};
  REQUIRE(epoll.wait(ready, -1).error().is_os(EINTR));
}

TEST_CASE("waits without room and with too much of it are refused", "[hostile]") {
  const Epoll epoll = *Epoll::create();
  REQUIRE(epoll.wait({}, 0).error().is_os(EINVAL));
  EpollEvent one{};
  REQUIRE(epoll.wait({&one, Epoll::kMaxEvents + 1}, 0).error().is_os(EINVAL));
  REQUIRE(epoll.wait({&one, std::size_t{1} << 33}, 0).error().is_os(EINVAL));
}

TEST_CASE("sets of events are compared and joined") {
  constexpr EventSet both = kReadable | kWritable;
  STATIC_REQUIRE(both.has(kReadable));
  STATIC_REQUIRE(both.has(both));
  STATIC_REQUIRE_FALSE(kReadable.has(both));
  STATIC_REQUIRE(kReadable.has_any(both));
  STATIC_REQUIRE_FALSE(kHangUp.has_any(both));
  STATIC_REQUIRE(kNoEvents.empty());
  STATIC_REQUIRE_FALSE(both.empty());
}
