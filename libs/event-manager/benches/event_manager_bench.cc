// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Descriptors that are ready in every round: how much of the time is ours. The floors are
// epoll_wait(), the least that is safe when handlers drop registrations, and the same handlers.

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdlib>
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
  void process(EventSet ready, std::uint32_t which) {
    const MutexLock lock(mutex);
    subscriber->process(ready, which);
  }
  Mutex mutex;
  std::unique_ptr<Subscriber> subscriber;
};

/// One of its events.
struct Watched {
  Watched(std::shared_ptr<Locked> held, std::uint32_t event)
      : shared(std::move(held)), which(event) {}
  void process(EventSet ready, std::uint32_t) const { shared->process(ready, which); }
  std::shared_ptr<Locked> shared;
  std::uint32_t which;
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

/// epoll_wait() over the same number of descriptors, in plain C: a table of functions, in which a
/// generation tells an event of a registration that is gone.
struct Raw {
  struct Entry {
    void (*call)(void* subscriber, std::uint32_t ready);
    void* subscriber;
    std::uint32_t generation;
  };
  explicit Raw(std::size_t total) : entries(total) { fds.reserve(total); }

  void add(void (*call)(void* subscriber, std::uint32_t ready), void* subscriber,
           bool ready = true) {
    const std::size_t index = fds.size();
    fds.push_back(*EventFd::create(ready ? 1 : 0));
    entries[index] = {call, subscriber, 0};
    watch(index);
  }
  /// A subscriber with the function process(), called directly.
  template <class T>
  void add(T& subscriber, bool ready = true) {
    add([](void* self, std::uint32_t bits) { static_cast<T*>(self)->process(EventSet(bits), 0); },
        &subscriber, ready);
  }
  void watch(std::size_t index) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = std::uint64_t{entries[index].generation} << 32 | index;
    if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, fds[index].fd(), &event) != 0) std::abort();
  }
  void forget(std::size_t index) {
    ++entries[index].generation;
    if (::epoll_ctl(epoll.get(), EPOLL_CTL_DEL, fds[index].fd(), nullptr) != 0) std::abort();
  }
  void round() {
    const int count = ::epoll_wait(epoll.get(), events.data(), 256, -1);
    for (int i = 0; i < count; ++i) {
      const epoll_event& event = events[static_cast<std::size_t>(i)];
      const std::uint64_t token = event.data.u64;
      const Entry& entry = entries[token & 0xffffffff];
      if (entry.generation == token >> 32) entry.call(entry.subscriber, event.events);
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
  for (Counter& counter : counters) raw.add(counter);
  bench.floor("event-manager/process_basic", [&] { raw.round(); });
}

VMM_BENCH(bench) {
  struct Shared {
    void process(EventSet ready, std::uint32_t which) {
      const MutexLock lock(mutex);
      counter.process(ready, which);
    }
    Mutex mutex;
    Counter counter;
  };
  Fixture fixture;
  Raw raw(kSubscribers);
  for (std::size_t i = 0; i < kSubscribers; ++i) {
    const auto shared = std::make_shared<Shared>();
    raw.add(*shared);
    fixture.add([shared](EventSet ready) { shared->process(ready, 0); });
  }
  bench.run("event-manager/process_with_arc_mutex", [&] { fixture.round(); });
  bench.floor("event-manager/process_with_arc_mutex", [&] { raw.round(); });
}

VMM_BENCH(bench) {
  Fixture fixture;
  Raw raw(kSubscribers);
  for (std::size_t i = 0; i < kSubscribers; ++i) {
    std::shared_ptr<Subscriber> subscriber = std::make_shared<Counter>();
    raw.add(*subscriber);
    fixture.add([subscriber](EventSet ready) { subscriber->process(ready, 0); });
  }
  bench.run("event-manager/process_with_inner_mut", [&] { fixture.round(); });
  bench.floor("event-manager/process_with_inner_mut", [&] { raw.round(); });
}

VMM_BENCH(bench) {
  Fixture fixture;
  Raw raw(2 * kSubscribers);
  std::vector<std::unique_ptr<Watched>> watched;  // what the floor calls
  const auto add = [&](const std::shared_ptr<Locked>& shared, std::uint32_t which) {
    fixture.add([shared, which](EventSet ready) { shared->process(ready, which); });
    watched.push_back(std::make_unique<Watched>(shared, which));
    raw.add(*watched.back());
  };
  for (std::size_t i = 0; i < kSubscribers / 2; ++i) {
    const auto triple = std::make_shared<Locked>(std::make_unique<TripleCounter>());
    for (std::uint32_t which = 0; which < 3; ++which) add(triple, which);
    add(std::make_shared<Locked>(std::make_unique<Counter>()), 0);
  }
  bench.run("event-manager/process_dynamic_dispatch", [&] { fixture.round(); });
  bench.floor("event-manager/process_dynamic_dispatch", [&] { raw.round(); });
}

VMM_BENCH(bench) {
  Fixture fixture;
  Raw raw(kSubscribers);
  std::vector<Counter> counters(kSubscribers);
  for (std::size_t i = 0; i < kSubscribers; ++i) {
    Counter& counter = counters[i];
    fixture.add([&counter](EventSet ready) { counter.process(ready, 0); }, i % 23 == 0);
    raw.add(counter, i % 23 == 0);
  }
  bench.run("event-manager/process_dispatch_few_events", [&] { fixture.round(); });
  bench.floor("event-manager/process_dispatch_few_events", [&] { raw.round(); });
}

// 200 that are ready; ten of their handlers drop their own registration and make a new one.
VMM_BENCH(bench) {
  struct Restless {
    void process(EventSet) const {
      fixture->registrations[index].reset();
      fixture->registrations[index] = *fixture->loop.add(
          fixture->fds[index].fd(), kReadable, [this](EventSet ready) { process(ready); });
    }
    Fixture* fixture;
    std::size_t index;
  };
  struct RawRestless {
    void process(EventSet, std::uint32_t) const {
      raw->forget(index);
      raw->watch(index);
    }
    Raw* raw;
    std::size_t index;
  };
  Fixture fixture;
  Raw raw(kSubscribers);
  std::vector<Counter> counters(kSubscribers);
  std::vector<Restless> restless;
  std::vector<RawRestless> raw_restless;
  restless.reserve(kSubscribers);
  raw_restless.reserve(kSubscribers);
  for (std::size_t i = 0; i < kSubscribers; ++i) {
    if (i % 20 == 0) {
      const Restless& one = restless.emplace_back(&fixture, i);
      fixture.add([&one](EventSet ready) { one.process(ready); });
      raw.add(raw_restless.emplace_back(&raw, i));
    } else {
      Counter& counter = counters[i];
      fixture.add([&counter](EventSet ready) { counter.process(ready, 0); });
      raw.add(counter);
    }
  }
  bench.run("event-manager/process_10_of_200_replace_themselves", [&] { fixture.round(); });
  bench.floor("event-manager/process_10_of_200_replace_themselves", [&] { raw.round(); });
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
  // The eventfd's part is the same in both: sys-util/eventfd_write_read is about that.
  bench.floor("event-manager/x_kick_one_write_run_read", [&] {
    keep(event.add(1).has_value());
    keep(::epoll_wait(epoll.get(), events.data(), 256, -1));
    keep(*event.take());
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
