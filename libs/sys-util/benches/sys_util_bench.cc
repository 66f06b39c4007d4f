// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <span>

#include "bench.h"
#include "vmm/sys_util/epoll.h"
#include "vmm/sys_util/event_fd.h"
#include "vmm/sys_util/random.h"
#include "vmm/sys_util/temp_file.h"
#include "vmm/sys_util/timer_fd.h"

using namespace vmm;
using namespace vmm::sys_util;
using vmm::bench::keep;

VMM_BENCH(bench) {
  const EventFd event = *EventFd::create();
  bench.run("sys-util/eventfd_write_read", [&] {
    keep(event.add(1).has_value());
    keep(*event.take());
  });
  bench.floor("sys-util/eventfd_write_read", [&] {
    std::uint64_t value = 1;
    keep(::write(event.fd(), &value, sizeof(value)));
    keep(::read(event.fd(), &value, sizeof(value)));
  });
  bench.run("sys-util/eventfd_new_drop", [] { keep(EventFd::create()->fd()); });
  bench.floor("sys-util/eventfd_new_drop", [] { ::close(::eventfd(0, EFD_CLOEXEC)); });
  bench.run("sys-util/eventfd_try_clone_drop", [&] { keep(event.duplicate()->fd()); });
  bench.floor("sys-util/eventfd_try_clone_drop",
              [&] { ::close(::fcntl(event.fd(), F_DUPFD_CLOEXEC, 0)); });
}

VMM_BENCH(bench) {
  const Epoll epoll = *Epoll::create();
  const EventFd event = *EventFd::create(1);
  keep(epoll.add(event.fd(), kReadable, 1).has_value());
  std::array<EpollEvent, 16> ready{};
  bench.run("sys-util/epoll_wait_1_ready", [&] { keep(*epoll.wait(ready, 0)); });
  bench.floor("sys-util/epoll_wait_1_ready", [&] {
    keep(::epoll_wait(epoll.fd(), reinterpret_cast<epoll_event*>(ready.data()), 16, 0));
  });
  bench.run("sys-util/epoll_context_wait_1_ready", [&] {  // an event's token says whose it is
    const std::size_t count = *epoll.wait(ready, 0);
    for (const EpollEvent& one : std::span(ready).first(count)) keep(std::uint64_t{one.token});
  });
  bench.run("sys-util/epoll_ctl_modify",
            [&] { keep(epoll.modify(event.fd(), kReadable, 1).has_value()); });
  bench.floor("sys-util/epoll_ctl_modify", [&] {
    epoll_event change{};
    change.events = EPOLLIN;
    change.data.u64 = 1;
    keep(::epoll_ctl(epoll.fd(), EPOLL_CTL_MOD, event.fd(), &change));
  });
}

VMM_BENCH(bench) {
  const TimerFd timer = *TimerFd::create();
  bench.run("sys-util/timerfd_reset",
            [&] { keep(timer.arm({.after = std::chrono::seconds(100)}).has_value()); });
  bench.floor("sys-util/timerfd_reset", [&] {
    const itimerspec spec{.it_interval = {0, 0}, .it_value = {100, 0}};
    keep(::timerfd_settime(timer.fd(), 0, &spec, nullptr));
  });
}

VMM_BENCH(bench) {
  bench.run("sys-util/rand_bytes_16", [] {
    std::array<std::byte, 16> bytes;
    keep(fill_random(bytes).has_value());
    keep(bytes);
  });
  bench.floor("sys-util/rand_bytes_16", [] {
    std::array<std::byte, 16> bytes;
    keep(::getrandom(bytes.data(), bytes.size(), 0));
    keep(bytes);
  });
  bench.run("sys-util/tempfile_new_drop", [] { keep(TempFile::create()->fd()); });
  bench.floor("sys-util/tempfile_new_drop", [] {
    char path[] = "/tmp/vmm-XXXXXX";
    const int fd = ::mkostemp(path, O_CLOEXEC);
    ::unlink(path);
    ::close(fd);
  });
}
