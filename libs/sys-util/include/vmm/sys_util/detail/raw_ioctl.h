// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

// Sanitizers know what a call writes only when it goes through the function they intercept.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define VMM_DETAIL_IOCTL_INTERCEPTED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || \
    __has_feature(thread_sanitizer)
#define VMM_DETAIL_IOCTL_INTERCEPTED 1
#endif
#endif

namespace vmm::sys_util::detail {

/// raw_ioctl() through the C library.
int libc_ioctl(int fd, unsigned long request, std::uintptr_t argument) noexcept;

/// ioctl(2): the kernel's answer, or the errno value negated. errno may be set, too, or not.
///
/// One instruction of the processor where we know it. The C library adds nothing to ioctl(2), which
/// is no cancellation point, but a variadic call and errno in thread-local storage: more
/// instructions than all the rest of a vCPU's way in and out of the kernel.
inline int raw_ioctl(int fd, unsigned long request, std::uintptr_t argument) noexcept {
#if defined(VMM_DETAIL_IOCTL_INTERCEPTED)
  return libc_ioctl(fd, request, argument);
#elif defined(__x86_64__) && !defined(__ILP32__)
  long answer = 16;  // the system call's number
  asm volatile("syscall"
               : "+a"(answer)
               : "D"(fd), "S"(request), "d"(argument)
               : "rcx", "r11", "memory");
  return static_cast<int>(answer);
#elif defined(__aarch64__) && !defined(__ILP32__)
  register long number asm("x8") = 29;
  register long answer asm("x0") = fd;
  register unsigned long second asm("x1") = request;
  register unsigned long third asm("x2") = argument;
  asm volatile("svc #0" : "+r"(answer) : "r"(number), "r"(second), "r"(third) : "memory", "cc");
  return static_cast<int>(answer);
#elif defined(__riscv) && __riscv_xlen == 64
  register long number asm("a7") = 29;
  register long answer asm("a0") = fd;
  register unsigned long second asm("a1") = request;
  register unsigned long third asm("a2") = argument;
  asm volatile("ecall" : "+r"(answer) : "r"(number), "r"(second), "r"(third) : "memory");
  return static_cast<int>(answer);
#else
  return libc_ioctl(fd, request, argument);
#endif
}

}  // namespace vmm::sys_util::detail

#undef VMM_DETAIL_IOCTL_INTERCEPTED
