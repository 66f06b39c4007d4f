// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/epoll.h"

#include <sys/epoll.h>

#include <algorithm>

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
  epoll_event event{};
  event.events = interest.bits();
  event.data.u64 = token;
  if (::epoll_ctl(epoll, operation, fd, &event) != 0) return fail(Error::from_errno(what));
  return {};
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
  const int count =
      ::epoll_wait(fd_.get(), reinterpret_cast<epoll_event*>(ready.data()), capacity, timeout_ms);
  if (count < 0) return fail(Error::from_errno("epoll_wait"));
  return static_cast<std::size_t>(count);
}

}  // namespace vmm::sys_util
