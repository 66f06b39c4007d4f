// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Guest RAM between two pages that nobody may touch:
//
//   GuardedRam ram(bytes);
//   ... {.backing = Backing::kExternal, .external = ram.data(), .bytes = bytes} ...
//   ram.check();
//
// Anonymous RAM lies beside other mappings, so that an access beyond its end may meet memory and
// nobody notices. AddressSanitizer reports accesses to the guards, those of system calls too; in
// builds without it check() still sees what was written there.

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <span>

#include "fuzz_input.h"

#if defined(__SANITIZE_ADDRESS__)
#define VMM_GUARDS_ARE_POISONED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define VMM_GUARDS_ARE_POISONED 1
#endif
#endif
#if defined(VMM_GUARDS_ARE_POISONED)
#include <sanitizer/asan_interface.h>
#endif

class GuardedRam {
 public:
  /// Zeros. Precondition: whole pages.
  explicit GuardedRam(std::size_t bytes) : bytes_(bytes) {
    require(bytes % kGuardBytes == 0);
    void* const at = ::mmap(nullptr, bytes + 2 * kGuardBytes, PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    require(at != MAP_FAILED);
    all_ = static_cast<std::byte*>(at);
    for (const auto guard : {below(), above()}) std::ranges::fill(guard, kGuard);
    poison();
  }
  ~GuardedRam() {
    unpoison();
    (void)::munmap(all_, bytes_ + 2 * kGuardBytes);
  }
  GuardedRam(const GuardedRam&) = delete;
  GuardedRam& operator=(const GuardedRam&) = delete;

  [[nodiscard]] std::byte* data() const { return all_ + kGuardBytes; }
  [[nodiscard]] std::span<std::byte> bytes() const { return {data(), bytes_}; }
  /// Aborts when a guard has changed.
  void check() const {
    unpoison();
    for (const auto guard : {below(), above()}) {
      require(std::ranges::all_of(guard, [](std::byte b) { return b == kGuard; }));
    }
    poison();
  }

 private:
  static constexpr std::size_t kGuardBytes = 4096;
  static constexpr std::byte kGuard{0xa5};

  [[nodiscard]] std::span<std::byte> below() const { return {all_, kGuardBytes}; }
  [[nodiscard]] std::span<std::byte> above() const { return {data() + bytes_, kGuardBytes}; }

#if defined(VMM_GUARDS_ARE_POISONED)
  void poison() const {
    for (const auto guard : {below(), above()})
      __asan_poison_memory_region(guard.data(), kGuardBytes);
  }
  void unpoison() const {
    for (const auto guard : {below(), above()}) {
      __asan_unpoison_memory_region(guard.data(), kGuardBytes);
    }
  }
#else
  void poison() const {}
  void unpoison() const {}
#endif

  const std::size_t bytes_;
  std::byte* all_;
};
