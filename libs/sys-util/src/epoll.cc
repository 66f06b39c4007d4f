// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/epoll.h"

#include <sys/epoll.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>

#include "vmm/base/detail/system_call.h"

namespace vmm::sys_util {
namespace {

static_assert(sizeof(EpollEvent) == sizeof(epoll_event));
static_assert(offsetof(EpollEvent, bits) == offsetof(epoll_event, events));
static_assert(offsetof(EpollEvent, token) == offsetof(epoll_event, data));
static_assert(kReadable.bits() == EPOLLIN && kPriority.bits() == EPOLLPRI);
static_assert(kWritable.bits() == EPOLLOUT && kError.bits() == EPOLLERR);
static_assert(kHangUp.bits() == EPOLLHUP && kPeerClosed.bits() == EPOLLRDHUP);
static_assert(kOneShot.bits() == EPOLLONESHOT && kOnChange.bits() == EPOLLET);

Result<void> control(int epoll, int operation, int fd, EventSet interest, std::uint64_t token,
                     const char* what) {
  epoll_event event{.events = interest.bits(), .data = {.u64 = token}};
  const long answer =
      vmm::detail::system_call(&::epoll_ctl, SYS_epoll_ctl, epoll, operation, fd, &event);
  if (answer < 0) return fail(Error::os(static_cast<int>(-answer), what));
  return {};
}

/// How many events there were, or the errno value negated.
long wait_for(int epoll, EpollEvent* ready, int capacity, int timeout_ms) {
  auto* const events = reinterpret_cast<epoll_event*>(ready);
#if defined(SYS_epoll_wait)
  return vmm::detail::system_call(&::epoll_wait, SYS_epoll_wait, epoll, events, capacity,
                                  timeout_ms);
#else  // newer ports have epoll_pwait(2) only
  const int count = ::epoll_wait(epoll, events, capacity, timeout_ms);
  return count < 0 ? -errno : count;
#endif
}

}  // namespace

Result<Epoll> Epoll::create() {
  UniqueFd fd(::epoll_create1(EPOLL_CLOEXEC));
  if (!fd) return fail(Error::from_errno("epoll_create1"));
  return Epoll(std::move(fd));
}

Result<void> Epoll::add(int fd, EventSet interest, std::uint64_t token) const {
  return control(fd_.get(), EPOLL_CTL_ADD, fd, interest, token, "epoll_ctl ADD");
}

Result<void> Epoll::modify(int fd, EventSet interest, std::uint64_t token) const {
  return control(fd_.get(), EPOLL_CTL_MOD, fd, interest, token, "epoll_ctl MOD");
}

Result<void> Epoll::remove(int fd) const {
  return control(fd_.get(), EPOLL_CTL_DEL, fd, {}, 0, "epoll_ctl DEL");
}

Result<std::size_t> Epoll::wait(std::span<EpollEvent> ready, int timeout_ms) const {
  // The kernel refuses more than kMaxEvents; the cap keeps the conversion from wrapping.
  const int capacity = static_cast<int>(std::min(ready.size(), kMaxEvents + 1));
  const long count = wait_for(fd_.get(), ready.data(), capacity, timeout_ms);
  if (count < 0) return fail(Error::os(static_cast<int>(-count), "epoll_wait"));
  return static_cast<std::size_t>(count);
}

}  // namespace vmm::sys_util
