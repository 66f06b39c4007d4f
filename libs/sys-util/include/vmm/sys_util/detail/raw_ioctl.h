// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/detail/system_call.h"

namespace vmm::sys_util::detail {

/// raw_ioctl() through the C library.
int libc_ioctl(int fd, unsigned long request, std::uintptr_t argument) noexcept;

/// ioctl(2): the kernel's answer, or the errno value negated. errno may be set, too, or not.
///
/// One instruction of the processor where we know it. The C library adds nothing to ioctl(2), which
/// is no cancellation point, but a variadic call and errno in thread-local storage: more
/// instructions than all the rest of a vCPU's way in and out of the kernel.
inline int raw_ioctl(int fd, unsigned long request, std::uintptr_t argument) noexcept {
  if constexpr (vmm::detail::kRawSystemCalls) {
#if defined(__x86_64__)
    constexpr long kNumber = 16;
#else
    constexpr long kNumber = 29;
#endif
    return static_cast<int>(vmm::detail::raw_system_call(kNumber, fd, request, argument));
  } else {
    return libc_ioctl(fd, request, argument);
  }
}

}  // namespace vmm::sys_util::detail
