// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#include "vmm/base/detail/language.h"

namespace vmm {

namespace detail {

template <std::unsigned_integral T>
[[nodiscard]] constexpr T byte_swap(T value) {
  if constexpr (sizeof(T) == 1) {
    return value;
  } else if constexpr (sizeof(T) == 2) {
    return __builtin_bswap16(value);
  } else if constexpr (sizeof(T) == 4) {
    return __builtin_bswap32(value);
  } else {
    return __builtin_bswap64(value);
  }
}

}  // namespace detail

/// An unsigned integer stored in a fixed byte order, for wire and memory structures.
///
/// As large and as aligned as T; trivially copyable; without padding. There is no implicit
/// conversion: reading is get(), writing is set() or construction.
template <std::unsigned_integral T, std::endian kOrder>
class Endian {
 public:
  using value_type = T;  ///< in the host's order

  constexpr Endian() = default;
  /// Stores a value that is in the host's order.
  constexpr explicit Endian(T value) : raw_(swap(value)) {}

  [[nodiscard]] constexpr T get() const { return swap(raw_); }  ///< in the host's order
  /// Stores a value that is in the host's order.
  constexpr void set(T value) { raw_ = swap(value); }

  friend constexpr bool operator==(Endian, Endian) = default;

 private:
  static constexpr T swap(T value) {
    return std::endian::native == kOrder ? value : detail::byte_swap(value);
  }

  T raw_ = 0;
};

/// Little-endian: virtio, PCI, ACPI, x86 boot structures.
template <std::unsigned_integral T>
using Le = Endian<T, std::endian::little>;
/// Big-endian: device trees.
template <std::unsigned_integral T>
using Be = Endian<T, std::endian::big>;

///@{
/// The sizes in bits and orders that structures use; 8 bits are a plain std::uint8_t.
using Le16 = Le<std::uint16_t>;
using Le32 = Le<std::uint32_t>;
using Le64 = Le<std::uint64_t>;
using Be16 = Be<std::uint16_t>;
using Be32 = Be<std::uint32_t>;
using Be64 = Be<std::uint64_t>;
///@}

/// Reads a little-endian T from `bytes`, which must hold sizeof(T) of them; any alignment.
template <std::unsigned_integral T>
[[nodiscard]] constexpr T load_le(const std::byte* bytes) {
  T value = 0;
  if (!std::is_constant_evaluated()) {  // one load; GCC 12 does not make one of the loop
    std::memcpy(&value, bytes, sizeof(T));
    return std::endian::native == std::endian::little ? value : detail::byte_swap(value);
  }
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    value = static_cast<T>(value | static_cast<T>(std::to_integer<T>(bytes[i]) << (8 * i)));
  }
  return value;
}

/// Writes `value` to `bytes` in little-endian order; any alignment.
template <std::unsigned_integral T>
constexpr void store_le(std::byte* bytes, T value) {
  if (!std::is_constant_evaluated()) {
    value = std::endian::native == std::endian::little ? value : detail::byte_swap(value);
    std::memcpy(bytes, &value, sizeof(T));
    return;
  }
  for (std::size_t i = 0; i < sizeof(T); ++i) {
    bytes[i] = static_cast<std::byte>((value >> (8 * i)) & 0xff);
  }
}

}  // namespace vmm
