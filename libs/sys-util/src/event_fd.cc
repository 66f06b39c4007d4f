// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/event_fd.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "vmm/base/detail/system_call.h"

namespace vmm::sys_util {
namespace {

constexpr int kFlags = EFD_CLOEXEC | EFD_NONBLOCK;

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
  if (::read(fd_.get(), &value, sizeof(value)) != sizeof(value)) {
    return fail(Error::from_errno("read eventfd"));
  }
  return value;
}

Result<EventFd> EventFd::duplicate() const {
  const long fd = vmm::detail::system_call(&duplicate_fd, SYS_fcntl, fd_.get(), F_DUPFD_CLOEXEC, 0);
  if (fd < 0) return fail(Error::os(static_cast<int>(-fd), "fcntl F_DUPFD_CLOEXEC"));
  return EventFd(UniqueFd(static_cast<int>(fd)));
}

}  // namespace vmm::sys_util
