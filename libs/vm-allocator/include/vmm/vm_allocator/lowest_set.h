// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace vmm::vm_allocator::detail {

/// A set of numbers that gives out its lowest member: bits, with one bit above for each word of
/// bits that is not 0, and so on up to one word. Every operation looks at one word a level.
/// Memory: one bit (and a 64th) for each number up to the highest that was ever inserted.
class LowestSet {
 public:
  [[nodiscard]] bool empty() const { return levels_ == 0 || bits_[levels_ - 1][0] == 0; }
  [[nodiscard]] bool contains(std::uint64_t number) const;
  void insert(std::uint64_t number);
  /// Removes it. Precondition: contains().
  void erase(std::uint64_t number);
  /// Removes and returns the lowest number. Precondition: not empty.
  std::uint64_t take_lowest();

 private:
  static constexpr std::size_t kMaxLevels = 11;  // 64^11 > 2^64

  void grow(std::uint64_t words);

  std::array<std::vector<std::uint64_t>, kMaxLevels> bits_;
  std::size_t levels_ = 0;
};

}  // namespace vmm::vm_allocator::detail
