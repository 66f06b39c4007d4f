// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/fd_flags.h"

#include <fcntl.h>

namespace vmm::sys_util {
namespace {

/// Sets the flag. Whether it was not set before.
Result<bool> stop_blocking(int fd, const char* what) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0) return fail(Error::from_errno(what));
  if ((flags & O_NONBLOCK) != 0) return false;
  if (::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return fail(Error::from_errno(what));
  return true;
}

}  // namespace

Result<void> set_nonblocking(int fd, const char* what) {
  VMM_TRY_DO(stop_blocking(fd, what));
  return {};
}

Result<UniqueFd> duplicate(int fd, const char* what) {
  UniqueFd copy(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!copy) return fail(Error::from_errno(what));
  return copy;
}

Result<NonBlocking> NonBlocking::create(int fd, const char* what) {
  VMM_TRY(const bool changed, stop_blocking(fd, what));
  return changed ? NonBlocking(fd) : NonBlocking();
}

// Only this flag: others may have changed in the meantime.
NonBlocking::~NonBlocking() {
  if (fd_ < 0) return;
  const int flags = ::fcntl(fd_, F_GETFL);
  if (flags >= 0) (void)::fcntl(fd_, F_SETFL, flags & ~O_NONBLOCK);
}

}  // namespace vmm::sys_util
