// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <span>

#include "vmm/base/guest_address.h"

namespace vmm {

/// A range of guest-physical addresses, in bytes.
struct AddressRange {
  GuestAddress base{};     ///< the first address
  std::uint64_t size = 0;  ///< bytes; 0 for an empty range

  /// The first address behind the range. Precondition: it does not pass 2^64 - 1.
  [[nodiscard]] constexpr GuestAddress end() const { return GuestAddress(base.raw() + size); }

  friend constexpr bool operator==(const AddressRange&, const AddressRange&) = default;
};

/// Whether the ranges ascend, are not empty, do not overlap and end below 2^64.
[[nodiscard]] constexpr bool sorted_and_disjoint(std::span<const AddressRange> ranges) {
  std::uint64_t free_from = 0;
  for (const AddressRange& range : ranges) {
    if (range.base.raw() < free_from || range.size == 0) return false;
    if (__builtin_add_overflow(range.base.raw(), range.size, &free_from)) return false;
  }
  return true;
}

}  // namespace vmm
