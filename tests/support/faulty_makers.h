// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The part of faulty_calls.h, which includes it, that stands in front of what makes descriptors and
// mappings.

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cstdarg>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "faulty_calls.h"

namespace vmm::faulty_calls::detail {

/// A call that makes something: it fails as a whole, or works.
template <class Do>
int make(Call call, int fd, Do&& work) {
  return fate_of(call, fd, false) == Fate::kFails ? -1 : static_cast<int>(work());
}
template <class Do>
int set_up(int fd, Do&& work) {
  return make(kSetUp, fd, std::forward<Do>(work));
}

inline std::int64_t whole_pages(std::size_t bytes) {
  const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return static_cast<std::int64_t>((bytes + page - 1) / page * page);
}

}  // namespace vmm::faulty_calls::detail

extern "C" {

int eventfd(unsigned count, int flags) noexcept {
  return vmm::faulty_calls::detail::set_up(-1,
                                           [&] { return ::syscall(SYS_eventfd2, count, flags); });
}
int epoll_create1(int flags) noexcept {
  return vmm::faulty_calls::detail::set_up(-1, [&] { return ::syscall(SYS_epoll_create1, flags); });
}
int epoll_ctl(int epoll, int operation, int fd, epoll_event* event) noexcept {
  return vmm::faulty_calls::detail::set_up(
      fd, [&] { return ::syscall(SYS_epoll_ctl, epoll, operation, fd, event); });
}
int timerfd_create(int clock, int flags) noexcept {
  return vmm::faulty_calls::detail::set_up(
      -1, [&] { return ::syscall(SYS_timerfd_create, clock, flags); });
}
int timerfd_settime(int fd, int flags, const itimerspec* value, itimerspec* before) noexcept {
  return vmm::faulty_calls::detail::set_up(
      fd, [&] { return ::syscall(SYS_timerfd_settime, fd, flags, value, before); });
}
int open64(const char* path, int flags, ...) {
  mode_t mode = 0;
  if ((flags & (O_CREAT | O_TMPFILE)) != 0) {
    va_list more;
    va_start(more, flags);
    mode = va_arg(more, mode_t);
    va_end(more);
  }
  return vmm::faulty_calls::detail::make(vmm::faulty_calls::kOpen, -1, [&] {
    return ::syscall(SYS_openat, AT_FDCWD, path, flags, mode);
  });
}
int memfd_create(const char* name, unsigned flags) noexcept {
  return vmm::faulty_calls::detail::make(vmm::faulty_calls::kOpen, -1,
                                         [&] { return ::syscall(SYS_memfd_create, name, flags); });
}
void* mmap64(void* at, size_t bytes, int protection, int flags, int fd, off64_t offset) noexcept {
  namespace faults = vmm::faulty_calls;
  if (faults::detail::fate_of(faults::kMap, fd, false) == faults::detail::Fate::kFails) {
    return MAP_FAILED;
  }
  void* const got =
      reinterpret_cast<void*>(::syscall(SYS_mmap, at, bytes, protection, flags, fd, offset));
  // In place of what is there, it is as much as before.
  if (got != MAP_FAILED && (flags & MAP_FIXED) == 0) {
    faults::detail::mapped_bytes += faults::detail::whole_pages(bytes);
  }
  return got;
}
int munmap(void* at, size_t bytes) noexcept {
  const auto done = static_cast<int>(::syscall(SYS_munmap, at, bytes));
  if (done == 0) {
    vmm::faulty_calls::detail::mapped_bytes -= vmm::faulty_calls::detail::whole_pages(bytes);
  }
  return done;
}

}  // extern "C"
