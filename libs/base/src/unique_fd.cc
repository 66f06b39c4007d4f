// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/base/unique_fd.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "vmm/base/detail/system_call.h"

namespace vmm::detail {

void close_fd(int fd) noexcept {
  // An error on its way out survives the clean-up. EINTR is not retried: on Linux the descriptor
  // is gone already.
  if constexpr (kRawSystemCalls) {
    raw_system_call(SYS_close, fd);
  } else {
    const int saved = errno;
    ::close(fd);
    errno = saved;
  }
}

}  // namespace vmm::detail
