// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <compare>
#include <cstdint>
#include <optional>

#include "vmm/base/detail/language.h"

namespace vmm {

/// A guest-physical address, in bytes from 0. Not a host pointer, not an offset, not an IOVA.
///
/// It has no operator+: every sum of guest-chosen numbers is checked.
class GuestAddress {
 public:
  constexpr GuestAddress() = default;
  constexpr explicit GuestAddress(std::uint64_t raw) : raw_(raw) {}  ///< bytes from 0; any value

  [[nodiscard]] constexpr std::uint64_t raw() const { return raw_; }  ///< bytes from 0

  /// This address plus `bytes`; nullopt when that passes 2^64 - 1.
  [[nodiscard]] constexpr std::optional<GuestAddress> checked_add(std::uint64_t bytes) const {
    std::uint64_t sum = 0;
    if (__builtin_add_overflow(raw_, bytes, &sum)) return std::nullopt;
    return GuestAddress(sum);
  }
  /// This address minus `bytes`; nullopt when that passes below 0.
  [[nodiscard]] constexpr std::optional<GuestAddress> checked_sub(std::uint64_t bytes) const {
    if (bytes > raw_) return std::nullopt;
    return GuestAddress(raw_ - bytes);
  }
  /// The distance from `base` up to this address; nullopt when `base` is above it.
  [[nodiscard]] constexpr std::optional<std::uint64_t> offset_from(GuestAddress base) const {
    if (base.raw_ > raw_) return std::nullopt;
    return raw_ - base.raw_;
  }
  /// Whether this is a multiple of `power_of_two`; with 0 that holds for address 0 alone.
  [[nodiscard]] constexpr bool is_aligned(std::uint64_t power_of_two) const {
    return (raw_ & (power_of_two - 1)) == 0;
  }
  /// The next multiple of `power_of_two` at or above this address; nullopt when it passes
  /// 2^64 - 1, or when `power_of_two` is not a power of two.
  [[nodiscard]] constexpr std::optional<GuestAddress> align_up(std::uint64_t power_of_two) const {
    if (power_of_two == 0 || (power_of_two & (power_of_two - 1)) != 0) return std::nullopt;
    const std::optional<GuestAddress> top = checked_add(power_of_two - 1);
    if (!top) return std::nullopt;
    return GuestAddress(top->raw_ & ~(power_of_two - 1));
  }
  friend constexpr auto operator<=>(GuestAddress, GuestAddress) = default;

 private:
  std::uint64_t raw_ = 0;
};

}  // namespace vmm
