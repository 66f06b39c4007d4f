// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

namespace vmm::vm_memory {

/// One bit for each page that was written since the last look: for live migration and snapshots.
///
/// Offsets are bytes from the start of the range that the bitmap covers; what lies beyond its end
/// is ignored. Marking a page that is marked already costs a plain load, no locked instruction.
/// That is safe because a harvest (get_and_reset) makes every other thread of the process pass a
/// barrier, with membarrier(2), between clearing bits and returning: a writer that still saw the
/// bit set has its data visible by then. Where membarrier(2) is refused (a seccomp filter), each
/// mark pays for a fence instead.
///
/// Thread-safety: all functions, except enlarge(), may be called from any thread.
class DirtyBitmap {
 public:
  /// For one bit, unless the caller says otherwise.
  static constexpr std::uint64_t kDefaultPageBytes = 4096;

  /// For `bytes` bytes, all clean. `page_bytes` is rounded down to a power of two, at least 1.
  explicit DirtyBitmap(std::uint64_t bytes, std::uint64_t page_bytes = kDefaultPageBytes);
  /// A copy with its own bits.
  DirtyBitmap(const DirtyBitmap& other);
  DirtyBitmap& operator=(const DirtyBitmap&) = delete;

  /// Marks each page that [offset, offset + bytes) touches. Call it after the data is written.
  void mark(std::uint64_t offset, std::uint64_t bytes) {
    std::atomic_signal_fence(std::memory_order_seq_cst);  // the data's stores stay above
    const std::uint64_t first = offset >> page_shift_;
    const std::uint64_t last = (offset + bytes - 1) >> page_shift_;
    // Nothing but a range within one page goes on here: not one of 0 bytes, nor one that wraps.
    if (first != last || ((bytes - 1) >> page_shift_) != 0 ||
        must_fence_.load(std::memory_order_relaxed)) [[unlikely]] {
      return mark_range(offset, bytes);
    }
    if (first < pages_) mark_bits(first / 64, std::uint64_t{1} << (first % 64));
  }

  /// Whether the page that holds the byte at `offset` is marked; false beyond the end.
  [[nodiscard]] bool is_dirty(std::uint64_t offset) const {
    const std::uint64_t page = offset >> page_shift_;
    return page < pages_ && (word(page / 64).load(std::memory_order_acquire) >> page % 64 & 1) != 0;
  }
  /// Clears each page that [offset, offset + bytes) touches, without saying which were marked.
  void clear(std::uint64_t offset, std::uint64_t bytes);
  /// Clears all pages, without saying which were marked.
  void clear_all() { clear(0, ~std::uint64_t{0}); }

  /// Moves the bits to `out`: page i is bit i % 64 of word i / 64, the first of which is `first`.
  /// Words outside of out keep their bits. Returns the number of words that had a bit set.
  std::size_t get_and_reset(std::span<std::uint64_t> out, std::size_t first = 0);
  /// The same as a vector of word_count() words.
  [[nodiscard]] std::vector<std::uint64_t> get_and_reset();

  /// Covers `more_bytes` bytes more, all clean. No other thread may use the bitmap meanwhile.
  void enlarge(std::uint64_t more_bytes);

  [[nodiscard]] std::uint64_t bytes() const { return bytes_; }  ///< of the range that is covered
  /// What one bit stands for; a power of two.
  [[nodiscard]] std::uint64_t page_bytes() const { return std::uint64_t{1} << page_shift_; }
  /// Bits; the last page may be covered in part.
  [[nodiscard]] std::uint64_t page_count() const { return pages_; }
  /// Words of 64 bits that get_and_reset() has to give.
  [[nodiscard]] std::size_t word_count() const { return word_count_; }

 private:
  [[nodiscard]] std::atomic<std::uint64_t>& word(std::size_t index) const { return words_[index]; }
  void mark_bits(std::size_t index, std::uint64_t bits) {
    // Release: whoever harvests the bit (acquire) sees the data written before.
    if ((word(index).load(std::memory_order_relaxed) & bits) != bits) {
      word(index).fetch_or(bits, std::memory_order_release);
    }
  }
  void mark_range(std::uint64_t offset, std::uint64_t bytes);
  void put_back(std::span<const std::uint64_t> bits, std::size_t first);

  std::unique_ptr<std::atomic<std::uint64_t>[]> words_;
  std::uint64_t pages_;
  std::size_t word_count_;
  std::uint64_t bytes_;
  std::uint8_t page_shift_;
  std::atomic<bool> must_fence_;  ///< membarrier(2) is not to be had
};

/// A bitmap, or none, and where in it something begins.
struct DirtyWindow {
  DirtyBitmap* bitmap = nullptr;  ///< borrowed; nullptr: marks nothing
  std::uint64_t offset = 0;       ///< bytes, in the bitmap

  /// Marks the pages of [from, from + bytes), which counts from the window's start.
  void mark(std::uint64_t from, std::uint64_t bytes) const {
    if (bitmap != nullptr) [[unlikely]] {
      bitmap->mark(offset + from, bytes);
    }
  }
};

}  // namespace vmm::vm_memory
