// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>

namespace vmm::vm_allocator {

/// The addresses from `first` to `last`, both included, so that every range up to the whole
/// 64-bit space can be said. A range with first > last is not valid.
struct AddressRange {
  /// @{
  std::uint64_t first;  ///< both are part of the range
  std::uint64_t last;
  /// @}

  /// `size` addresses from `first` on; nullopt for a size of 0 and past 2^64 - 1.
  [[nodiscard]] static constexpr std::optional<AddressRange> from_size(std::uint64_t first,
                                                                       std::uint64_t size) {
    std::uint64_t last = 0;
    if (size == 0 || __builtin_add_overflow(first, size - 1, &last)) return std::nullopt;
    return AddressRange{first, last};
  }

  /// How many addresses; 0 for the whole 64-bit space, whose size no 64-bit number can hold.
  [[nodiscard]] constexpr std::uint64_t size() const { return last - first + 1; }
  /// @{
  /// For valid ranges; the answer for others means nothing.
  [[nodiscard]] constexpr bool contains(const AddressRange& other) const {
    return first <= other.first && other.last <= last;
  }
  [[nodiscard]] constexpr bool contains(std::uint64_t address) const {
    return first <= address && address <= last;
  }
  [[nodiscard]] constexpr bool overlaps(const AddressRange& other) const {
    return first <= other.last && other.first <= last;
  }
  /// @}
  friend constexpr bool operator==(const AddressRange&, const AddressRange&) = default;
};

}  // namespace vmm::vm_allocator
