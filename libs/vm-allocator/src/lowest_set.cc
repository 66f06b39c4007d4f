// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_allocator/lowest_set.h"

#include <bit>

namespace vmm::vm_allocator::detail {

bool LowestSet::contains(std::uint64_t number) const {
  const std::vector<std::uint64_t>& words = bits_[0];
  return number / 64 < words.size() && (words[number / 64] >> (number % 64) & 1) != 0;
}

void LowestSet::insert(std::uint64_t number) {
  if (number / 64 >= bits_[0].size()) grow(number / 64 + 1);
  for (std::size_t level = 0; level < levels_; ++level) {
    std::uint64_t& word = bits_[level][number / 64];
    const bool known_above = word != 0;
    word |= std::uint64_t{1} << (number % 64);
    if (known_above) return;
    number /= 64;
  }
}

std::uint64_t LowestSet::take_lowest() {
  std::uint64_t number = 0;
  for (std::size_t level = levels_; level-- > 0;) {
    const std::uint64_t word = bits_[level][number];
    number = number * 64 + static_cast<std::uint64_t>(std::countr_zero(word));
  }
  erase(number);
  return number;
}

void LowestSet::erase(std::uint64_t number) {
  for (std::size_t level = 0; level < levels_; ++level) {
    std::uint64_t& word = bits_[level][number / 64];
    word &= ~(std::uint64_t{1} << (number % 64));
    if (word != 0) break;
    number /= 64;
  }
}

void LowestSet::grow(std::uint64_t words) {
  for (std::size_t level = 0;; ++level) {
    if (level == levels_) {
      ++levels_;
      bits_[level].assign(1, level != 0 && bits_[level - 1][0] != 0 ? 1 : 0);
    }
    if (words > bits_[level].size()) bits_[level].resize(words);
    if (words == 1) return;
    words = (words + 63) / 64;
  }
}

}  // namespace vmm::vm_allocator::detail
