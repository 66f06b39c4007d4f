// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "ioctl_order.h"

#include "thread_sanitizer.h"

#if defined(VMM_THREAD_SANITIZER)
#include <sanitizer/tsan_interface.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdarg>

// In front of the sanitizer's own, which is a weak symbol.
extern "C" int ioctl(int fd, unsigned long request, ...) noexcept {
  static char order;
  va_list rest;
  va_start(rest, request);
  void* const argument = va_arg(rest, void*);
  va_end(rest);
  __tsan_release(&order);
  const long result = ::syscall(SYS_ioctl, fd, request, argument);
  __tsan_acquire(&order);
  return static_cast<int>(result);
}
#endif

namespace vmm::testing {

void let_ioctls_order_threads() {}

}  // namespace vmm::testing
