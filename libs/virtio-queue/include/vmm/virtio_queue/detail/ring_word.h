// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Single words of a ring that was resolved and checked before: one atomic access each, so that no
// field is read twice, little-endian on every host.

#include <bit>
#include <cstddef>
#include <cstdint>

#include "vmm/base/endian.h"
#include "vmm/vm_memory/guest_access.h"

namespace vmm::virtio_queue::detail {

template <std::unsigned_integral T>
[[nodiscard]] constexpr T swap_le(T value) {
  return std::endian::native == std::endian::little ? value : vmm::detail::byte_swap(value);
}

/// Precondition: aligned, inside of what was resolved.
template <std::unsigned_integral T, int kOrder = __ATOMIC_RELAXED>
[[nodiscard]] inline T load(const std::byte* at) {
  return swap_le<T>(vm_memory::detail::load_word<sizeof(T), kOrder>(at));
}

template <std::unsigned_integral T, int kOrder = __ATOMIC_RELAXED>
inline void store(std::byte* at, std::type_identity_t<T> value) {
  vm_memory::detail::store_word<sizeof(T), kOrder>(at, swap_le<T>(value));
}

/// Between a store that the other side looks for and a load of what it asked for: without it the
/// load may overtake the store, and both sides go to sleep. Its partner is the same barrier in the
/// driver, between storing its request and loading our index.
inline void full_barrier() {
  if constexpr (vm_memory::detail::kThreadSanitizer) {  // which knows no fences
    std::uint32_t word = 0;
    __atomic_fetch_add(&word, 1, __ATOMIC_SEQ_CST);
    asm volatile("" : : "m"(word) : "memory");
  } else {
#if !defined(__SANITIZE_THREAD__)
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
  }
}

}  // namespace vmm::virtio_queue::detail
