// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Descriptors that are ready in every round: how much of the time is ours. The floors are
// epoll_wait() and a function pointer for each event.

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "bench.h"
#include "vmm/base/mutex.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/sys_util/event_fd.h"

using namespace vmm;
using namespace vmm::event_manager;
using sys_util::EventFd;
using vmm::bench::keep;

namespace {

constexpr std::chrono::milliseconds kForever{-1};

/// Counts its events.
class Subscriber {
 public:
  virtual ~Subscriber() = default;
  virtual void process(EventSet ready, std::uint32_t which) = 0;
};

class Counter final : public Subscriber {
 public:
  void process(EventSet ready, std::uint32_t) override {
    if (ready == kReadable) ++count_;
  }
  [[nodiscard]] std::uint64_t count() const { return count_; }

 private:
  std::uint64_t count_ = 0;
};

/// Counts three kinds of events apart.
class TripleCounter final : public Subscriber {
 public:
  void process(EventSet ready, std::uint32_t which) override {
    if (ready == kReadable && which < counts_.size()) ++counts_[which];
  }

 private:
  std::array<std::uint64_t, 3> counts_{};
};

/// A subscriber behind a lock, as several owners would share it.
struct Locked {
  explicit Locked(std::unique_ptr<Subscriber> held) : subscriber(std::move(held)) {}
  Mutex mutex;
  std::unique_ptr<Subscriber> subscriber;
};

struct Fixture {
  EventLoop loop = *EventLoop::create();
  std::vector<EventFd> fds;
  std::vector<Registration> registrations;

  void add(EventLoop::Handler handler, bool ready = true) {
    fds.push_back(*EventFd::create(ready ? 1 : 0));
    registrations.push_back(*loop.add(fds.back().fd(), kReadable, std::move(handler)));
  }
  void round() { keep(*loop.run_once(kForever)); }
};

/// epoll_wait() over the same number of descriptors, with the least dispatch.
struct Raw {
  struct Entry {
    void (*call)(Entry& entry, std::uint32_t ready);
    std::uint64_t count;
  };
  explicit Raw(std::size_t total, std::size_t every = 1) : entries(total) {
    for (std::size_t i = 0; i < total; ++i) {
      fds.push_back(*EventFd::create(i % every == 0 ? 1 : 0));
      entries[i] = {[](Entry& entry, std::uint32_t ready) { entry.count += ready == EPOLLIN; }, 0};
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.ptr = &entries[i];
      ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fds.back().fd(), &event);
    }
  }
  void round() {
    const int count = ::epoll_wait(epoll.get(), events.data(), 256, -1);
    for (int i = 0; i < count; ++i) {
      auto* entry = static_cast<Entry*>(events[static_cast<std::size_t>(i)].data.ptr);
      entry->call(*entry, events[static_cast<std::size_t>(i)].events);
    }
  }
  UniqueFd epoll{::epoll_create1(EPOLL_CLOEXEC)};
  std::array<epoll_event, 256> events{};
  std::vector<EventFd> fds;
  std::vector<Entry> entries;
};

constexpr std::size_t kSubscribers = 200;

}  // namespace

VMM_BENCH(bench) {
  Fixture fixture;
  std::vector<Counter> counters(kSubscribers);
  for (Counter& counter : counters) {
    fixture.add([&counter](EventSet ready) { counter.process(ready, 0); });
  }
  bench.run("event-manager/process_basic", [&] { fixture.round(); });
  Raw raw(kSubscribers);
  bench.floor("event-manager/process_basic", [&] { raw.round(); });
}

VMM_BENCH(bench) {
  struct Shared {
    Mutex mutex;
    Counter counter;
  };
  Fixture fixture;
  for (std::size_t i = 0; i < kSubscribers; ++i) {
    fixture.add([shared = std::make_shared<Shared>()](EventSet ready) {
      const MutexLock lock(shared->mutex);
      shared->counter.process(ready, 0);
    });
  }
  bench.run("event-manager/process_with_arc_mutex", [&] { fixture.round(); });
}

VMM_BENCH(bench) {
  Fixture fixture;
  for (std::size_t i = 0; i < kSubscribers; ++i) {
    std::shared_ptr<Subscriber> subscriber = std::make_shared<Counter>();
    fixture.add([subscriber](EventSet ready) { subscriber->process(ready, 0); });
  }
  bench.run("event-manager/process_with_inner_mut", [&] { fixture.round(); });
}

VMM_BENCH(bench) {
  Fixture fixture;
  for (std::size_t i = 0; i < kSubscribers / 2; ++i) {
    const auto triple = std::make_shared<Locked>(std::make_unique<TripleCounter>());
    const auto single = std::make_shared<Locked>(std::make_unique<Counter>());
    const auto handler = [](std::shared_ptr<Locked> shared, std::uint32_t which) {
      return [shared = std::move(shared), which](EventSet ready) {
        const MutexLock lock(shared->mutex);
        shared->subscriber->process(ready, which);
      };
    };
    for (std::uint32_t which = 0; which < 3; ++which) fixture.add(handler(triple, which));
    fixture.add(handler(single, 0));
  }
  bench.run("event-manager/process_dynamic_dispatch", [&] { fixture.round(); });
  Raw raw(2 * kSubscribers);
  bench.floor("event-manager/process_dynamic_dispatch", [&] { raw.round(); });
}

VMM_BENCH(bench) {
  Fixture fixture;
  std::vector<Counter> counters(kSubscribers);
  for (std::size_t i = 0; i < kSubscribers; ++i) {
    Counter& counter = counters[i];
    fixture.add([&counter](EventSet ready) { counter.process(ready, 0); }, i % 23 == 0);
  }
  bench.run("event-manager/process_dispatch_few_events", [&] { fixture.round(); });
  Raw raw(kSubscribers, 23);
  bench.floor("event-manager/process_dispatch_few_events", [&] { raw.round(); });
}

VMM_BENCH(bench) {
  Fixture fixture;
  fixture.fds.reserve(1);
  fixture.add([&](EventSet) { keep(*fixture.fds[0].take()); }, false);
  bench.run("event-manager/x_kick_one_write_run_read", [&] {
    keep(fixture.fds[0].add(1).has_value());
    fixture.round();
  });
  const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  const EventFd event = *EventFd::create();
  epoll_event interest{};
  interest.events = EPOLLIN;
  ::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, event.fd(), &interest);
  std::array<epoll_event, 256> events{};
  bench.floor("event-manager/x_kick_one_write_run_read", [&] {
    std::uint64_t value = 1;
    keep(::write(event.fd(), &value, sizeof(value)));
    keep(::epoll_wait(epoll.get(), events.data(), 256, -1));
    keep(::read(event.fd(), &value, sizeof(value)));
  });
}

VMM_BENCH(bench) {
  EventLoop loop = *EventLoop::create();
  Counter counter;
  bench.run("event-manager/x_add_remove_subscriber", [&] {
    const EventFd event = *EventFd::create();
    const Registration registration =
        *loop.add(event.fd(), kReadable, [&counter](EventSet ready) { counter.process(ready, 0); });
  });
  const UniqueFd epoll(::epoll_create1(EPOLL_CLOEXEC));
  bench.floor("event-manager/x_add_remove_subscriber", [&] {
    const UniqueFd event(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    epoll_event interest{};
    interest.events = EPOLLIN;
    keep(::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, event.get(), &interest));
    keep(::epoll_ctl(epoll.get(), EPOLL_CTL_DEL, event.get(), nullptr));
  });
}
