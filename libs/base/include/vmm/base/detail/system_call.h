// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cerrno>
#include <type_traits>

namespace vmm::detail {

// Sanitizers know what a call reads and writes only when it goes through the function that they
// intercept.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kIntercepted = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(memory_sanitizer) || \
    __has_feature(thread_sanitizer)
inline constexpr bool kIntercepted = true;
#else
inline constexpr bool kIntercepted = false;
#endif
#else
inline constexpr bool kIntercepted = false;
#endif

// One instruction of the processor where we know it: the kernel's answer, an errno value negated
// when it is an error. errno stays as it is. Takes what fits into a register.
#if defined(__x86_64__) && !defined(__ILP32__)
inline constexpr bool kRawSystemCalls = !kIntercepted;

#define VMM_DETAIL_SYSTEM_CALL(...) \
  asm volatile("syscall" : "+a"(answer) : "D"(a)__VA_OPT__(, ) __VA_ARGS__ : "rcx", "r11", "memory")

template <class A>
long raw_system_call(long answer, A a) noexcept {
  VMM_DETAIL_SYSTEM_CALL();
  return answer;
}
template <class A, class B>
long raw_system_call(long answer, A a, B b) noexcept {
  VMM_DETAIL_SYSTEM_CALL("S"(b));
  return answer;
}
template <class A, class B, class C>
long raw_system_call(long answer, A a, B b, C c) noexcept {
  VMM_DETAIL_SYSTEM_CALL("S"(b), "d"(c));
  return answer;
}
template <class A, class B, class C, class D>
long raw_system_call(long answer, A a, B b, C c, D d) noexcept {
  register D fourth asm("r10") = d;
  VMM_DETAIL_SYSTEM_CALL("S"(b), "d"(c), "r"(fourth));
  return answer;
}
#undef VMM_DETAIL_SYSTEM_CALL
#elif (defined(__aarch64__) && !defined(__ILP32__)) || (defined(__riscv) && __riscv_xlen == 64)
inline constexpr bool kRawSystemCalls = !kIntercepted;

#if defined(__aarch64__)
#define VMM_DETAIL_REGISTER(n) "x" #n
#define VMM_DETAIL_NUMBER "x8"
#define VMM_DETAIL_INSTRUCTION "svc #0"
#else
#define VMM_DETAIL_REGISTER(n) "a" #n
#define VMM_DETAIL_NUMBER "a7"
#define VMM_DETAIL_INSTRUCTION "ecall"
#endif
template <class T>
long word(T value) {
  if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<long>(value);
  } else {
    return static_cast<long>(value);
  }
}
template <class A, class B = long, class C = long, class D = long>
long raw_system_call(long number, A a, B b = {}, C c = {}, D d = {}) noexcept {
  register long call asm(VMM_DETAIL_NUMBER) = number;
  register long answer asm(VMM_DETAIL_REGISTER(0)) = word(a);
  register long second asm(VMM_DETAIL_REGISTER(1)) = word(b);
  register long third asm(VMM_DETAIL_REGISTER(2)) = word(c);
  register long fourth asm(VMM_DETAIL_REGISTER(3)) = word(d);
  asm volatile(VMM_DETAIL_INSTRUCTION
               : "+r"(answer)
               : "r"(call), "r"(second), "r"(third), "r"(fourth)
               : "memory", "cc");
  return answer;
}
#undef VMM_DETAIL_INSTRUCTION
#undef VMM_DETAIL_NUMBER
#undef VMM_DETAIL_REGISTER
#else
inline constexpr bool kRawSystemCalls = false;
long raw_system_call(long number, auto... arguments) noexcept;  // never called
#endif

/// A system call that its C function, `libc`, would pass on as it is, arguments and all: the
/// answer, or the errno value negated. errno may be set, too, or not.
///
/// The C library adds errno in thread-local storage, and to some calls a check for cancellation,
/// which is more than the rest of what we do. Threads of these libraries are never cancelled.
template <class Libc, class... Arguments>
long system_call(Libc libc, long number, Arguments... arguments) noexcept {
  if constexpr (kRawSystemCalls) {
    return raw_system_call(number, arguments...);
  } else {
    const long answer = libc(arguments...);
    return answer < 0 ? -static_cast<long>(errno) : answer;
  }
}

}  // namespace vmm::detail
