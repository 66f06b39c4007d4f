// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/event_fd.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>

#include "vmm/base/detail/system_call.h"

namespace vmm::sys_util {
namespace {

constexpr int kFlags = EFD_CLOEXEC | EFD_NONBLOCK;

bool is_ready(int fd, short event) {
  pollfd one{.fd = fd, .events = event, .revents = 0};
  return ::poll(&one, 1, 0) == 1 && (one.revents & event) != 0;
}

// O_NONBLOCK is the open file's, so whoever got the descriptor may clear it; RWF_NOWAIT is this
// call's. Emulators of user mode do not know that, and get a look and a read.
ssize_t read_now(int fd, std::uint64_t& value) {
  const iovec room{.iov_base = &value, .iov_len = sizeof(value)};
  const ssize_t got = ::preadv2(fd, &room, 1, -1, RWF_NOWAIT);
  if (got >= 0 || (errno != ENOSYS && errno != EOPNOTSUPP)) return got;
  if (!is_ready(fd, POLLIN)) {
    errno = EAGAIN;
    return -1;
  }
  return ::read(fd, &value, sizeof(value));
}

int duplicate_fd(int fd, int command, int lowest) { return ::fcntl(fd, command, lowest); }

}  // namespace

Result<EventFd> EventFd::create(std::uint32_t initial) {
  const long fd = vmm::detail::system_call(&::eventfd, SYS_eventfd2, initial, kFlags);
  if (fd < 0) return fail(Error::os(static_cast<int>(-fd), "eventfd"));
  return EventFd(UniqueFd(static_cast<int>(fd)));
}

Result<void> EventFd::add(std::uint64_t value) const {
  if (::write(fd_.get(), &value, sizeof(value)) != sizeof(value)) {
    return fail(Error::from_errno("write eventfd"));
  }
  return {};
}

Result<std::uint64_t> EventFd::take() const {
  std::uint64_t value = 0;
  if (read_now(fd_.get(), value) != sizeof(value)) {
    return fail(Error::from_errno("read eventfd"));
  }
  return value;
}

Result<EventFd> EventFd::duplicate() const {
  const long fd = vmm::detail::system_call(&duplicate_fd, SYS_fcntl, fd_.get(), F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return fail(Error::os(static_cast<int>(-fd), "fcntl F_DUPFD_CLOEXEC"));
  return EventFd(UniqueFd(static_cast<int>(fd)));
}

bool signal_shared(int fd) {
  if (!is_ready(fd, POLLOUT)) return false;
  const std::uint64_t one = 1;
  return ::write(fd, &one, sizeof(one)) == sizeof(one);
}

}  // namespace vmm::sys_util
