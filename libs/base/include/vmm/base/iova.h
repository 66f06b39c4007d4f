// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <compare>
#include <cstdint>
#include <optional>

namespace vmm {

/// An I/O virtual address: what a device behind an IOMMU uses, in bytes from 0.
///
/// A type of its own, so that none reaches guest memory without a translation.
class Iova {
 public:
  constexpr Iova() = default;
  constexpr explicit Iova(std::uint64_t raw) : raw_(raw) {}  ///< bytes from 0; any value

  [[nodiscard]] constexpr std::uint64_t raw() const { return raw_; }  ///< bytes from 0

  /// This address plus `bytes`; nullopt when that passes 2^64 - 1.
  [[nodiscard]] constexpr std::optional<Iova> checked_add(std::uint64_t bytes) const {
    std::uint64_t sum = 0;
    if (__builtin_add_overflow(raw_, bytes, &sum)) return std::nullopt;
    return Iova(sum);
  }
  /// The distance from `base` up to this address; nullopt when `base` is above it.
  [[nodiscard]] constexpr std::optional<std::uint64_t> offset_from(Iova base) const {
    if (base.raw_ > raw_) return std::nullopt;
    return raw_ - base.raw_;
  }
  friend constexpr auto operator<=>(Iova, Iova) = default;

 private:
  std::uint64_t raw_ = 0;
};

}  // namespace vmm
