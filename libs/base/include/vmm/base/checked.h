// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Arithmetic on numbers that a guest, a file or a socket chose: each function answers nullopt
// instead of wrapping, truncating or dividing by zero.

#include <concepts>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

#include "vmm/base/detail/language.h"

namespace vmm {

///@{
/// The result in T; nullopt when T cannot hold it.
template <std::integral T>
[[nodiscard]] constexpr std::optional<T> checked_add(T a, std::type_identity_t<T> b) {
  T out{};
  if (__builtin_add_overflow(a, b, &out)) return std::nullopt;
  return out;
}

template <std::integral T>
[[nodiscard]] constexpr std::optional<T> checked_sub(T a, std::type_identity_t<T> b) {
  T out{};
  if (__builtin_sub_overflow(a, b, &out)) return std::nullopt;
  return out;
}

template <std::integral T>
[[nodiscard]] constexpr std::optional<T> checked_mul(T a, std::type_identity_t<T> b) {
  T out{};
  if (__builtin_mul_overflow(a, b, &out)) return std::nullopt;
  return out;
}
///@}

/// `value` as a To; nullopt when To cannot hold it.
template <std::integral To, std::integral From>
[[nodiscard]] constexpr std::optional<To> checked_cast(From value) {
  if (!std::in_range<To>(value)) return std::nullopt;
  return static_cast<To>(value);
}

/// Whether exactly one bit is set; 0 is no power of two.
template <std::unsigned_integral T>
[[nodiscard]] constexpr bool is_power_of_two(T value) {
  return value != 0 && (value & (value - 1)) == 0;
}

/// The largest multiple of `power_of_two` not above `value`. Precondition: a power of two.
template <std::unsigned_integral T>
[[nodiscard]] constexpr T align_down(T value, std::type_identity_t<T> power_of_two) {
  return static_cast<T>(value & ~(power_of_two - 1));
}

/// The smallest multiple of `power_of_two` not below `value`; nullopt when T cannot hold it or
/// when `power_of_two` is not a power of two.
template <std::unsigned_integral T>
[[nodiscard]] constexpr std::optional<T> align_up(T value, std::type_identity_t<T> power_of_two) {
  if (!is_power_of_two(power_of_two)) return std::nullopt;
  const std::optional<T> top = checked_add(value, static_cast<T>(power_of_two - 1));
  if (!top) return std::nullopt;
  return align_down(*top, power_of_two);
}

/// Whether [offset, offset + length) lies inside [0, size).
template <std::unsigned_integral T>
[[nodiscard]] constexpr bool fits(T offset, std::type_identity_t<T> length,
                                  std::type_identity_t<T> size) {
  return offset <= size && length <= size - offset;
}

}  // namespace vmm
