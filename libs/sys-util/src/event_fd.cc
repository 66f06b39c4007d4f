// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/event_fd.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace vmm::sys_util {

Result<EventFd> EventFd::create(std::uint32_t initial) {
  UniqueFd fd(::eventfd(initial, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!fd) return fail(Error::from_errno("eventfd"));
  return EventFd(std::move(fd));
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
  UniqueFd copy(::fcntl(fd_.get(), F_DUPFD_CLOEXEC, 0));
  if (!copy) return fail(Error::from_errno("fcntl F_DUPFD_CLOEXEC"));
  return EventFd(std::move(copy));
}

}  // namespace vmm::sys_util
