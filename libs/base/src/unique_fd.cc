// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/base/unique_fd.h"

#include <unistd.h>

#include <cerrno>

namespace vmm::detail {

void close_fd(int fd) noexcept {
  const int saved = errno;  // so that an error on its way out survives the clean-up
  ::close(fd);              // EINTR is not retried: on Linux the descriptor is gone already
  errno = saved;
}

}  // namespace vmm::detail
