// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Single words of a ring that was resolved and checked before: one atomic access each, so that no
// field is read twice, little-endian on every host.

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "vmm/base/endian.h"
#include "vmm/vm_memory/guest_access.h"

namespace vmm::virtio_queue::detail {

template <std::unsigned_integral T>
[[nodiscard]] constexpr T swap_le(T value) {
  return std::endian::native == std::endian::little ? value : vmm::detail::byte_swap(value);
}

// In relaxed order the compiler is told no more than it has to know: a word is loaded once, and
// what is used from there on is that copy; a word is stored in one piece, at the latest before the
// next release or barrier, which every queue has before the other side is to look. Memory of other
// types may stay in registers meanwhile, which the compiler's own atomics prevent.

/// Precondition: aligned, inside of what was resolved.
template <std::unsigned_integral T, int kOrder = __ATOMIC_RELAXED>
[[nodiscard]] inline T load(const std::byte* at) {
  if constexpr (kOrder == __ATOMIC_RELAXED && !vm_memory::detail::kThreadSanitizer) {
    T word;
    std::memcpy(&word, at, sizeof(T));
    asm volatile("" : "+r"(word));
    return swap_le<T>(word);
  } else {
    return swap_le<T>(vm_memory::detail::load_word<sizeof(T), kOrder>(at));
  }
}

/// load(), with the bits of `flip` flipped: the compiler takes the result for what was loaded, and
/// does not keep the word itself.
template <std::unsigned_integral T>
[[nodiscard]] inline T load_flipped(const std::byte* at, T flip) {
  if constexpr (!vm_memory::detail::kThreadSanitizer) {
    T word;
    std::memcpy(&word, at, sizeof(T));
    word = static_cast<T>(swap_le<T>(word) ^ flip);
    asm volatile("" : "+r"(word));
    return word;
  } else {
    return static_cast<T>(load<T>(at) ^ flip);
  }
}

/// load() of 2 or 4 bytes for those who calculate with 64 bits.
template <std::unsigned_integral T>
[[nodiscard]] inline std::uint64_t load_wide(const std::byte* at) {
  if constexpr (!vm_memory::detail::kThreadSanitizer) {
    T word;
    std::memcpy(&word, at, sizeof(T));
    std::uint64_t wide = swap_le<T>(word);
    asm volatile("" : "+r"(wide));
    return wide;
  } else {
    return load<T>(at);
  }
}

/// Precondition: as load().
template <std::unsigned_integral T, int kOrder = __ATOMIC_RELAXED>
inline void store(std::byte* at, std::type_identity_t<T> value) {
  if constexpr (kOrder == __ATOMIC_RELAXED && !vm_memory::detail::kThreadSanitizer) {
    *reinterpret_cast<T*>(at) = swap_le<T>(value);
  } else {
    vm_memory::detail::store_word<sizeof(T), kOrder>(at, swap_le<T>(value));
  }
}

/// A word that is not kept in a register from an earlier use on: it is read anew.
template <class T>
[[nodiscard]] inline T& anew(T& word) {
  asm volatile("" : "+m"(word));
  return word;
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
