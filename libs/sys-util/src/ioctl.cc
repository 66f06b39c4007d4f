// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/ioctl.h"

#include <sys/ioctl.h>

#include <cerrno>

namespace vmm::sys_util::detail {

int libc_ioctl(int fd, unsigned long request, std::uintptr_t argument) noexcept {
  const int answer = ::ioctl(fd, request, argument);
  return answer < 0 ? -errno : answer;
}

}  // namespace vmm::sys_util::detail
