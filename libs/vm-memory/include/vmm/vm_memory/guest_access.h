// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The place where bytes shared with the guest are touched. Nothing else dereferences a pointer into
// guest memory but virtio_queue/detail/ring_word.h, for single words of rings that were resolved
// and checked before.
//
// Guest memory holds no C++ objects, and it changes under our feet: vCPUs, other processes and
// other threads write to it at any time. Hence three forms of access, each of which the compiler
// can neither repeat nor split:
//  - load / store: an atomic access through a type that may alias anything;
//  - copy_*_fields: a copy in aligned machine words, so that no naturally aligned field of 1, 2,
//    4 or 8 bytes is ever torn;
//  - copy_out / copy_in: any bytes. Up to kWholeFieldBytes they move in fields as above, longer
//    ones with memcpy between compiler fences, where bytes may be torn against each other.

#include <array>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace vmm::vm_memory {

/// What may be read from and written to guest memory as an object: no padding (which would leak
/// host stack bytes), no pointers, no bool and no floats (whose bit patterns are not all values).
template <class T>
concept GuestValue = std::is_trivially_copyable_v<T> && !std::is_array_v<T> &&
                     std::has_unique_object_representations_v<T> && !std::is_pointer_v<T> &&
                     !std::is_same_v<std::remove_cv_t<T>, bool>;

/// A value that one atomic access moves.
template <class T>
concept GuestScalar =
    GuestValue<T> && (sizeof(T) == 1 || sizeof(T) == 2 || sizeof(T) == 4 || sizeof(T) == 8);

namespace detail {

/// Copies of at most this many bytes never tear an aligned field.
inline constexpr std::size_t kWholeFieldBytes = 256;

#if defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitizer = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif
#else
inline constexpr bool kThreadSanitizer = false;
#endif

template <std::size_t kBytes>
struct WordOf;
template <>
struct WordOf<1> {
  using plain = std::uint8_t;
  typedef std::uint8_t type __attribute__((may_alias));
};
template <>
struct WordOf<2> {
  using plain = std::uint16_t;
  typedef std::uint16_t type __attribute__((may_alias));
};
template <>
struct WordOf<4> {
  using plain = std::uint32_t;
  typedef std::uint32_t type __attribute__((may_alias));
};
template <>
struct WordOf<8> {
  using plain = std::uint64_t;
  typedef std::uint64_t type __attribute__((may_alias));
};

/// One atomic load of an aligned word of 1, 2, 4 or 8 bytes; kOrder is an __ATOMIC_* constant.
template <std::size_t kBytes, int kOrder = __ATOMIC_RELAXED>
[[nodiscard]] inline typename WordOf<kBytes>::plain load_word(const std::byte* at) {
  using Word = typename WordOf<kBytes>::type;
  return __atomic_load_n(reinterpret_cast<const Word*>(at), kOrder);
}

template <std::size_t kBytes, int kOrder = __ATOMIC_RELAXED>
inline void store_word(std::byte* at, typename WordOf<kBytes>::plain value) {
  using Word = typename WordOf<kBytes>::type;
  __atomic_store_n(reinterpret_cast<Word*>(at), value, kOrder);
}

[[nodiscard]] inline bool is_aligned(const std::byte* at, std::size_t power_of_two) {
  return (reinterpret_cast<std::uintptr_t>(at) & (power_of_two - 1)) == 0;
}

// Not inlined, so that they take no registers from those who have a word to move.

/// Copies out of guest memory without tearing any naturally aligned field; any size.
[[gnu::noinline]] void copy_out_fields(std::byte* to, const std::byte* guest, std::size_t n);
/// Copies into guest memory without tearing any naturally aligned field; any size.
[[gnu::noinline]] void copy_in_fields(std::byte* guest, const std::byte* from, std::size_t n);
/// Copies within guest memory; the ranges may overlap, aligned fields may be torn.
void copy_within(std::byte* guest_to, const std::byte* guest_from, std::size_t n);
void fill(std::byte* guest, std::byte value, std::size_t n);

/// Hides from the compiler what `at` points to, under AddressSanitizer alone: GCC 12 then takes the
/// address of the last byte that the sanitizer checks for one past an array (a false
/// -Warray-bounds).
template <class Byte>
inline void hide_object([[maybe_unused]] Byte*& at) {
#ifdef __SANITIZE_ADDRESS__
  asm volatile("" : "+r"(at));
#endif
}

/// Copies out of guest memory exactly once: the fences keep the compiler from reading the source
/// again later instead of keeping the private copy.
inline void copy_out(std::byte* to, const std::byte* guest, std::size_t n) {
  if (n <= kWholeFieldBytes || kThreadSanitizer) return copy_out_fields(to, guest, n);
  hide_object(to);
  asm volatile("" : "+r"(guest) : : "memory");
  std::memcpy(to, guest, n);
  asm volatile("" : : : "memory");
}

inline void copy_in(std::byte* guest, const std::byte* from, std::size_t n) {
  if (n <= kWholeFieldBytes || kThreadSanitizer) return copy_in_fields(guest, from, n);
  hide_object(from);
  asm volatile("" : "+r"(guest) : : "memory");
  std::memcpy(guest, from, n);
  asm volatile("" : : : "memory");
}

/// Reads an object: in one load when it is a machine word, in words otherwise.
template <GuestValue T>
[[nodiscard]] inline T read_object(const std::byte* guest) {
  if constexpr (GuestScalar<T>) {
    if (is_aligned(guest, sizeof(T))) [[likely]]
      return std::bit_cast<T>(load_word<sizeof(T)>(guest));
  } else if constexpr (sizeof(T) % 8 == 0 && sizeof(T) <= 128) {
    if (is_aligned(guest, 8)) [[likely]] {
      std::array<std::uint64_t, sizeof(T) / 8> words;
      for (std::size_t i = 0; i < words.size(); ++i) words[i] = load_word<8>(guest + 8 * i);
      return std::bit_cast<T>(words);
    }
  }
  T value;  // in memory, which those that are read above need not be
  copy_out_fields(reinterpret_cast<std::byte*>(&value), guest, sizeof(T));
  return value;
}

template <GuestValue T>
inline void write_object(std::byte* guest, const T& value) {
  const auto* from = reinterpret_cast<const std::byte*>(&value);
  if constexpr (GuestScalar<T>) {
    if (is_aligned(guest, sizeof(T))) [[likely]] {
      typename WordOf<sizeof(T)>::plain word;
      std::memcpy(&word, from, sizeof(T));
      return store_word<sizeof(T)>(guest, word);
    }
  } else if constexpr (sizeof(T) % 8 == 0 && sizeof(T) <= 128) {
    if (is_aligned(guest, 8)) [[likely]] {
      for (std::size_t i = 0; i < sizeof(T); i += 8) {
        std::uint64_t word;
        std::memcpy(&word, from + i, 8);
        store_word<8>(guest + i, word);
      }
      return;
    }
  }
  copy_in_fields(guest, from, sizeof(T));
}

}  // namespace detail
}  // namespace vmm::vm_memory
