// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/event_manager/event_loop.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <optional>
#include <vector>

#include "vmm/sys_util/event_fd.h"

using namespace vmm;
using namespace vmm::event_manager;
using std::chrono::milliseconds;
using sys_util::EventFd;

namespace {

constexpr milliseconds kNoWait{0};

/// An eventfd that is readable, and stays so.
EventFd ready_fd() { return *EventFd::create(1); }

}  // namespace

TEST_CASE("a handler is told what is ready, and how many were is returned") {
  EventLoop loop = *EventLoop::create();
  const EventFd fd = ready_fd();
  std::vector<EventSet> seen;
  const Registration registration =
      *loop.add(fd.fd(), kReadable | kWritable, [&](EventSet ready) { seen.push_back(ready); });
  REQUIRE(*loop.run_once(kNoWait) == 1);
  REQUIRE(seen == std::vector{kReadable | kWritable});
}

TEST_CASE("run_once with nothing ready returns 0 after the timeout") {
  EventLoop loop = *EventLoop::create();
  const auto start = std::chrono::steady_clock::now();
  REQUIRE(*loop.run_once(milliseconds(20)) == 0);
  REQUIRE(std::chrono::steady_clock::now() - start >= milliseconds(20));
}

TEST_CASE("a descriptor can be registered once") {
  EventLoop loop = *EventLoop::create();
  const EventFd fd = ready_fd();
  Registration first = *loop.add(fd.fd(), kReadable, [](EventSet) {});
  REQUIRE(loop.add(fd.fd(), kReadable, [](EventSet) {}).error().is_os(EEXIST));
  first.reset();
  REQUIRE(loop.add(fd.fd(), kReadable, [](EventSet) {}).has_value());
}

TEST_CASE("six ready descriptors over a hundred rounds are handled a hundred times each") {
  EventLoop loop = *EventLoop::create();
  std::vector<EventFd> fds;
  std::vector<Registration> registrations;
  std::vector<int> counts(6);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    fds.push_back(ready_fd());
    registrations.push_back(
        *loop.add(fds[i].fd(), kReadable, [&counts, i](EventSet) { ++counts[i]; }));
  }
  for (int round = 0; round < 100; ++round) REQUIRE(*loop.run_once(kNoWait) == 6);
  REQUIRE(counts == std::vector<int>(6, 100));
}

TEST_CASE("events of descriptors that an earlier handler of the round dropped are not delivered") {
  EventLoop loop = *EventLoop::create();
  std::vector<EventFd> fds;
  std::vector<Registration> registrations(3);
  int calls = 0;
  std::function<void(EventSet)> toggle_all = [&](EventSet) {
    ++calls;
    for (std::size_t i = 0; i < 3; ++i) {
      registrations[i].reset();
      registrations[i] = *loop.add(fds[i].fd(), kReadable, toggle_all);
    }
  };
  for (std::size_t i = 0; i < 3; ++i) {
    fds.push_back(ready_fd());
    registrations[i] = *loop.add(fds[i].fd(), kReadable, toggle_all);
  }
  REQUIRE(*loop.run_once(kNoWait) == 3);
  REQUIRE(calls == 1);
}

TEST_CASE("an event is not delivered to a new registration of the same descriptor number") {
  EventLoop loop = *EventLoop::create();
  const EventFd quiet = *EventFd::create(0);
  const EventFd fds[2] = {ready_fd(), ready_fd()};
  Registration registrations[2];
  int old_calls = 0;
  int new_calls = 0;
  for (std::size_t i = 0; i < 2; ++i) {
    registrations[i] = *loop.add(fds[i].fd(), kReadable, [&, i](EventSet) {
      ++old_calls;
      const int number = fds[1 - i].fd();
      registrations[1 - i].reset();
      REQUIRE(::dup2(quiet.fd(), number) == number);  // the number now means another file
      registrations[1 - i] = *loop.add(number, kReadable, [&](EventSet) { ++new_calls; });
      registrations[i].reset();
    });
  }
  REQUIRE(*loop.run_once(kNoWait) == 2);
  REQUIRE(old_calls == 1);
  REQUIRE(*loop.run_once(kNoWait) == 0);
  REQUIRE(new_calls == 0);
}
