// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/ioctl.h"

#include <sys/ioctl.h>

namespace vmm::sys_util {

Result<int> ioctl(int fd, IoctlRequest request, std::uintptr_t argument) {
  const int answer = ::ioctl(fd, request.number, argument);
  if (answer < 0) return fail(Error::from_errno(request.name));
  return answer;
}

Result<int> ioctl(int fd, IoctlRequest request, void* argument) {
  return ioctl(fd, request, reinterpret_cast<std::uintptr_t>(argument));
}

Result<int> ioctl(int fd, IoctlRequest request, const void* argument) {
  return ioctl(fd, request, reinterpret_cast<std::uintptr_t>(argument));
}

}  // namespace vmm::sys_util
