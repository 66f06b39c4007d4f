// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/event_manager/event_loop.h"

#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <memory>
#include <thread>
#include <vector>

#include "vmm/base/log.h"
#include "vmm/sys_util/epoll.h"
#include "vmm/sys_util/event_fd.h"
#include "vmm/sys_util/signal.h"
#include "vmm/sys_util/temp_file.h"

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

TEST_CASE("a handler may drop its own registration, and is destroyed after it returned") {
  EventLoop loop = *EventLoop::create();
  const EventFd fd = ready_fd();
  const auto alive = std::make_shared<int>(0);
  Registration registration;
  registration = *loop.add(fd.fd(), kReadable, [&registration, alive](EventSet) {
    registration.reset();
    ++*alive;  // still there
  });
  REQUIRE(alive.use_count() == 2);
  REQUIRE(*loop.run_once(kNoWait) == 1);
  REQUIRE(*alive == 1);
  REQUIRE(alive.use_count() == 1);
  REQUIRE_FALSE(registration);
  REQUIRE(*loop.run_once(kNoWait) == 0);
  REQUIRE(loop.add(fd.fd(), kReadable, [](EventSet) {}).has_value());
}

TEST_CASE("a handler may replace its own registration by another of the same descriptor") {
  EventLoop loop = *EventLoop::create();
  const EventFd fd = ready_fd();
  std::vector<int> calls;
  Registration registration;
  registration = *loop.add(fd.fd(), kReadable, [&](EventSet) {
    calls.push_back(1);
    registration.reset();
    registration = *loop.add(fd.fd(), kReadable, [&](EventSet) { calls.push_back(2); });
  });
  REQUIRE(*loop.run_once(kNoWait) == 1);
  REQUIRE(*loop.run_once(kNoWait) == 1);
  REQUIRE(calls == std::vector{1, 2});
}

TEST_CASE("a handler that owns another registration drops it when it goes") {
  EventLoop loop = *EventLoop::create();
  const EventFd outer_fd = ready_fd();
  const EventFd inner_fd = ready_fd();
  int inner_calls = 0;
  Registration outer;
  {
    const auto inner = std::make_shared<Registration>(
        *loop.add(inner_fd.fd(), kReadable, [&](EventSet) { ++inner_calls; }));
    outer = *loop.add(outer_fd.fd(), kReadable, [inner, &outer](EventSet) { outer.reset(); });
  }
  REQUIRE(*loop.run_once(kNoWait) == 2);
  REQUIRE(*loop.run_once(kNoWait) == 0);
  REQUIRE(inner_calls <= 1);
}

TEST_CASE("a descriptor that a handler adds is looked at from the next round on") {
  EventLoop loop = *EventLoop::create();
  const EventFd fd = ready_fd();
  std::vector<EventFd> fds;
  std::vector<Registration> added;
  int calls = 0;
  // Enough of them that the loop's tables grow while a handler runs.
  const Registration registration = *loop.add(fd.fd(), kReadable, [&](EventSet) {
    if (!added.empty()) return;
    for (int i = 0; i < 200; ++i) {
      fds.push_back(ready_fd());
      added.push_back(*loop.add(fds.back().fd(), kReadable, [&](EventSet) { ++calls; }));
    }
  });
  REQUIRE(*loop.run_once(kNoWait) == 1);
  REQUIRE(calls == 0);
  REQUIRE(*loop.run_once(kNoWait) == 201);
  REQUIRE(calls == 200);
}

TEST_CASE("hang-ups come unasked and in every round until the registration is dropped") {
  EventLoop loop = *EventLoop::create();
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const UniqueFd reader(ends[0]);
  UniqueFd(ends[1]).reset();
  const EventFd other = ready_fd();
  int hangups = 0;
  Registration hung = *loop.add(reader.get(), kNoEvents, [&](EventSet ready) {
    REQUIRE(ready == kHangUp);
    ++hangups;
  });
  const Registration ready = *loop.add(other.fd(), kReadable, [](EventSet) {});
  for (int round = 0; round < 3; ++round) REQUIRE(*loop.run_once(kNoWait) == 2);
  REQUIRE(hangups == 3);
  hung.reset();
  REQUIRE(*loop.run_once(kNoWait) == 1);
}

TEST_CASE("a loop that spins on hang-ups counts it and tells of it once") {
  static int lines;
  lines = 0;
  set_log_sink([](LogLevel, std::string_view) { ++lines; });
  EventLoop loop = *EventLoop::create();
  std::array<int, 2> ends{-1, -1};
  REQUIRE(::pipe(ends.data()) == 0);
  ::close(ends[1]);
  const EventFd idle = *EventFd::create(0);
  EventFd other = *EventFd::create(0);
  Registration hung_up = *loop.add(ends[0], kReadable, [](EventSet) {});
  const Registration silent = *loop.add(idle.fd(), kReadable, [](EventSet) {});
  const Registration busy = *loop.add(other.fd(), kReadable, [&](EventSet) { (void)other.take(); });
  const auto rounds = [&](int count) {
    for (int i = 0; i < count; ++i) REQUIRE(*loop.run_once(kNoWait) > 0);
  };
  rounds(3);  // as many as there are registrations
  CHECK(loop.spinning_rounds() == 0);
  CHECK(lines == 0);
  rounds(5);
  CHECK(loop.spinning_rounds() == 5);
  CHECK(lines == 1);
  REQUIRE(other.add());  // something else happens
  rounds(4);
  CHECK(loop.spinning_rounds() == 5);
  hung_up.reset();
  CHECK(*loop.run_once(kNoWait) == 0);
  set_log_sink(nullptr);
  ::close(ends[0]);
}

TEST_CASE("hang-ups with something to read, and those that are minded, are no spinning") {
  EventLoop loop = *EventLoop::create();
  for (int i = 0; i < 10; ++i) {
    std::array<int, 2> ends{-1, -1};
    REQUIRE(::pipe(ends.data()) == 0);
    REQUIRE(::write(ends[1], "0123456789", 10) == 10);
    ::close(ends[1]);
    Registration registration;
    registration = *loop.add(ends[0], kReadable, [&](EventSet ready) {
      char byte = 0;
      if (!ready.has_any(kReadable) || ::read(ends[0], &byte, 1) != 1) registration.reset();
    });
    for (int round = 0; round < 11; ++round) REQUIRE(*loop.run_once(kNoWait) == 1);
    CHECK(*loop.run_once(kNoWait) == 0);
    ::close(ends[0]);
  }
  CHECK(loop.spinning_rounds() == 0);
}

TEST_CASE("a registration can watch for something else, or for nothing") {
  EventLoop loop = *EventLoop::create();
  const EventFd fd = ready_fd();
  EventSet seen;
  Registration registration = *loop.add(fd.fd(), kReadable, [&](EventSet ready) { seen = ready; });
  REQUIRE(registration.modify(kNoEvents).has_value());
  REQUIRE(*loop.run_once(kNoWait) == 0);
  REQUIRE(registration.modify(kWritable).has_value());
  REQUIRE(*loop.run_once(kNoWait) == 1);
  REQUIRE(seen == kWritable);
  registration.reset();
  REQUIRE(registration.modify(kReadable).error().is_os(ENOENT));
}

TEST_CASE("more ready descriptors than one round takes are served in turn") {
  EventLoop loop = *EventLoop::create({.events_per_round = 4});
  std::vector<EventFd> fds;
  std::vector<Registration> registrations;
  std::vector<int> counts(10);
  for (std::size_t i = 0; i < counts.size(); ++i) {
    fds.push_back(ready_fd());
    registrations.push_back(
        *loop.add(fds[i].fd(), kReadable, [&counts, i](EventSet) { ++counts[i]; }));
  }
  for (int round = 0; round < 5; ++round) REQUIRE(*loop.run_once(kNoWait) == 4);
  REQUIRE(counts == std::vector<int>(10, 2));
}

TEST_CASE("registrations may outlive the loop and move") {
  const EventFd fd = ready_fd();
  const auto alive = std::make_shared<int>(0);
  Registration survivor;
  {
    EventLoop loop = *EventLoop::create();
    Registration first = *loop.add(fd.fd(), kReadable, [alive](EventSet) { ++*alive; });
    survivor = std::move(first);
    REQUIRE_FALSE(first);
    REQUIRE(*loop.run_once(kNoWait) == 1);
    EventLoop moved = std::move(loop);
    REQUIRE(*moved.run_once(kNoWait) == 1);
    REQUIRE(*alive == 2);
  }
  REQUIRE(alive.use_count() == 1);
  REQUIRE(survivor.modify(kReadable).error().is_os(ENOENT));
  survivor.reset();
}

TEST_CASE("a handler may own its own registration: the loop's end frees both") {
  const EventFd fd = ready_fd();
  const auto self = std::make_shared<Registration>();
  {
    EventLoop loop = *EventLoop::create();
    *self = *loop.add(fd.fd(), kReadable, [self](EventSet) {});
    REQUIRE(self.use_count() == 2);
  }
  REQUIRE(self.use_count() == 1);
}

TEST_CASE("one loop can be put in the place of another") {
  const EventFd fd = ready_fd();
  EventLoop loop = *EventLoop::create();
  const Registration old = *loop.add(fd.fd(), kReadable, [](EventSet) {});
  loop = *EventLoop::create();
  REQUIRE(*loop.run_once(kNoWait) == 0);
  loop.post([] {});
  REQUIRE(*loop.run_once() == 0);
}

TEST_CASE("run returns when a handler or a posted function stops it") {
  EventLoop loop = *EventLoop::create();
  const EventFd fd = ready_fd();
  int calls = 0;
  const Registration registration = *loop.add(fd.fd(), kReadable, [&](EventSet) {
    if (++calls == 3) loop.stop();
  });
  REQUIRE(loop.run().has_value());
  REQUIRE(calls == 3);
  loop.post([&] { loop.stop(); });
  REQUIRE(loop.run().has_value());
  REQUIRE(calls == 4);
}

TEST_CASE("a signal ends a round early, without an error") {
  const int signal = *sys_util::realtime_signal(1);
  REQUIRE(sys_util::set_empty_signal_handler(signal).has_value());
  EventLoop loop = *EventLoop::create();
  const sys_util::ThreadId waiter = sys_util::ThreadId::current();
  std::jthread kicker([&](const std::stop_token& stop) {
    while (!stop.stop_requested()) {
      static_cast<void>(sys_util::signal_thread(waiter, signal));
      std::this_thread::sleep_for(milliseconds(1));
    }
  });
  REQUIRE(*loop.run_once() == 0);
}

TEST_CASE("a handler cannot run the loop", "[hostile]") {
  EventLoop loop = *EventLoop::create();
  const EventFd fd = ready_fd();
  bool refused = false;
  const Registration registration = *loop.add(fd.fd(), kReadable, [&](EventSet) {
    refused = loop.run_once(kNoWait).error().is_os(EDEADLK);
  });
  REQUIRE(*loop.run_once(kNoWait) == 1);
  REQUIRE(refused);
}

TEST_CASE("what cannot be watched is refused and leaves nothing behind", "[hostile]") {
  EventLoop loop = *EventLoop::create();
  const EventFd fd = ready_fd();
  const sys_util::TempFile file = *sys_util::TempFile::create();
  REQUIRE(loop.add(-1, kReadable, [](EventSet) {}).error().is_os(EBADF));
  REQUIRE(loop.add(file.fd(), kReadable, [](EventSet) {}).error().is_os(EPERM));
  REQUIRE(loop.add(fd.fd(), kReadable, nullptr).error().is_os(EINVAL));
  REQUIRE(*loop.run_once(kNoWait) == 0);
  REQUIRE(loop.add(fd.fd(), kReadable, [](EventSet) {}).has_value());
}

TEST_CASE("a round may take as many events as the kernel allows, and not one more", "[hostile]") {
  constexpr std::size_t kMax = sys_util::Epoll::kMaxEvents;
  REQUIRE(EventLoop::create({.events_per_round = kMax})->run_once(kNoWait).has_value());
  for (const std::size_t bad : {std::size_t{0}, kMax + 1, ~std::size_t{0}}) {
    REQUIRE(EventLoop::create({.events_per_round = bad}).error().is_os(EINVAL));
  }
}

TEST_CASE("a loop within another runs when its descriptor says so") {
  EventLoop outer = *EventLoop::create();
  EventLoop inner = *EventLoop::create();
  const Registration nested = *outer.add(
      inner.fd(), kReadable, [&](EventSet) { REQUIRE(inner.run_once(kNoWait).has_value()); });
  REQUIRE(*outer.run_once(kNoWait) == 0);

  int handled = 0;
  EventFd fd = *EventFd::create(1);
  Registration registration = *inner.add(fd.fd(), kReadable, [&](EventSet) {
    ++handled;
    (void)fd.take().has_value();
  });
  REQUIRE(*outer.run_once(kNoWait) == 1);
  REQUIRE(handled == 1);
  REQUIRE(*outer.run_once(kNoWait) == 0);

  int posted = 0;
  std::thread([poster = inner.poster(), &posted] {
    (void)poster.post([&posted] { ++posted; }).has_value();
  }).join();
  REQUIRE(*outer.run_once(kNoWait) == 1);
  REQUIRE(posted == 1);
}
