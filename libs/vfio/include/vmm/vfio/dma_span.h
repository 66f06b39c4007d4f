// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <bit>
#include <cstdint>
#include <span>

namespace vmm::vfio {

/// Bytes [iova, iova + bytes) of the device's address space.
struct DmaSpan {
  /// @{
  std::uint64_t iova = 0;  ///< iova + bytes may be 2^64 at most
  std::uint64_t bytes = 0;
  /// @}
};
/// [first, last]. All addresses there are are one more than can be counted; the last one is left
/// out.
constexpr DmaSpan span_between(std::uint64_t first, std::uint64_t last) {
  const std::uint64_t most = last - first;
  return {.iova = first, .bytes = most == UINT64_MAX ? most : most + 1};
}
/// Whether a bitmap of a bit a page has room for the range, and the range is of whole pages.
constexpr bool bitmap_fits(DmaSpan range, std::uint64_t page_bytes,
                           std::span<const std::uint64_t> bitmap) {
  if (!std::has_single_bit(page_bytes) || range.bytes == 0) return false;
  if ((range.iova | range.bytes) % page_bytes != 0) return false;
  return (range.bytes / page_bytes - 1) / 64 < bitmap.size();
}

}  // namespace vmm::vfio
