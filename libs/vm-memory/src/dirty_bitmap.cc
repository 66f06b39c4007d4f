// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_memory/dirty_bitmap.h"

#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bit>
#include <utility>

namespace vmm::vm_memory {
namespace {

bool membarrier(int command) { return ::syscall(SYS_membarrier, command, 0, 0) == 0; }

/// A sequentially consistent fence. (GCC rejects std::atomic_thread_fence under ThreadSanitizer.)
void full_fence() { __sync_synchronize(); }

std::uint8_t shift_of(std::uint64_t page_bytes) {
  return page_bytes == 0 ? std::uint8_t{0}
                         : static_cast<std::uint8_t>(std::bit_width(page_bytes) - 1);
}

std::uint64_t pages_of(std::uint64_t bytes, std::uint8_t shift) {
  const std::uint64_t rest = bytes & ((std::uint64_t{1} << shift) - 1);
  return (bytes >> shift) + (rest != 0 ? 1 : 0);
}

std::size_t words_of(std::uint64_t pages) { return pages / 64 + (pages % 64 != 0 ? 1 : 0); }

/// The bits of word `index` that lie in the pages [first, last].
std::uint64_t mask_of(std::uint64_t index, std::uint64_t first, std::uint64_t last) {
  std::uint64_t mask = ~std::uint64_t{0};
  if (index == first / 64) mask &= ~std::uint64_t{0} << (first % 64);
  if (index == last / 64) mask &= ~std::uint64_t{0} >> (63 - last % 64);
  return mask;
}

/// The last byte of a range that is not empty, clipped to the address space.
std::uint64_t last_byte(std::uint64_t offset, std::uint64_t bytes) {
  std::uint64_t last = 0;
  return __builtin_add_overflow(offset, bytes - 1, &last) ? ~std::uint64_t{0} : last;
}

}  // namespace

DirtyBitmap::DirtyBitmap(std::uint64_t bytes, std::uint64_t page_bytes)
    : pages_(pages_of(bytes, shift_of(page_bytes))),
      word_count_(words_of(pages_)),
      bytes_(bytes),
      page_shift_(shift_of(page_bytes)),
      must_fence_(!membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED)) {
  words_ = std::make_unique<std::atomic<std::uint64_t>[]>(word_count_);
}

DirtyBitmap::DirtyBitmap(const DirtyBitmap& other)
    : words_(std::make_unique<std::atomic<std::uint64_t>[]>(other.word_count_)),
      pages_(other.pages_),
      word_count_(other.word_count_),
      bytes_(other.bytes_),
      page_shift_(other.page_shift_),
      must_fence_(other.must_fence_.load(std::memory_order_relaxed)) {
  for (std::size_t i = 0; i < word_count_; ++i) {
    word(i).store(other.word(i).load(std::memory_order_acquire), std::memory_order_relaxed);
  }
}

void DirtyBitmap::mark_range(std::uint64_t offset, std::uint64_t bytes) {
  if (bytes == 0 || pages_ == 0) return;
  if (must_fence_.load(std::memory_order_relaxed)) {
    // Between the data's stores and the load of the bit; pairs with the one in get_and_reset().
    full_fence();
  }
  const std::uint64_t first = offset >> page_shift_;
  const std::uint64_t last = std::min(last_byte(offset, bytes) >> page_shift_, pages_ - 1);
  if (first > last) return;
  for (std::uint64_t i = first / 64; i <= last / 64; ++i) mark_bits(i, mask_of(i, first, last));
}

void DirtyBitmap::clear(std::uint64_t offset, std::uint64_t bytes) {
  if (bytes == 0 || pages_ == 0) return;
  const std::uint64_t first = offset >> page_shift_;
  const std::uint64_t last = std::min(last_byte(offset, bytes) >> page_shift_, pages_ - 1);
  if (first > last) return;
  for (std::uint64_t i = first / 64; i <= last / 64; ++i) {
    word(i).fetch_and(~mask_of(i, first, last), std::memory_order_acq_rel);
  }
}

std::size_t DirtyBitmap::get_and_reset(std::span<std::uint64_t> out, std::size_t first) {
  const std::size_t count = std::min(out.size(), word_count_ - std::min(first, word_count_));
  std::size_t marked = 0;
  for (std::size_t i = 0; i < count; ++i) {
    out[i] = 0;
    if (word(first + i).load(std::memory_order_relaxed) == 0) continue;
    out[i] = word(first + i).exchange(0, std::memory_order_acq_rel);
    ++marked;
  }
  std::fill(out.begin() + static_cast<std::ptrdiff_t>(count), out.end(), 0);
  if (marked == 0) return 0;
  // Store-load order on both sides: the bits are clear before the caller reads the pages, and a
  // writer that found its bit set has written its data.
  full_fence();
  if (!must_fence_.load(std::memory_order_relaxed) &&
      !membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED)) {
    // It was taken away after construction. From now on writers fence; what was harvested this
    // time stays marked, so that it is looked at again.
    must_fence_.store(true, std::memory_order_seq_cst);
    put_back(out.first(count), first);
  }
  return marked;
}

std::vector<std::uint64_t> DirtyBitmap::get_and_reset() {
  std::vector<std::uint64_t> out(word_count_);
  get_and_reset(out);
  return out;
}

void DirtyBitmap::put_back(std::span<const std::uint64_t> bits, std::size_t first) {
  for (std::size_t i = 0; i < bits.size(); ++i) {
    if (bits[i] != 0) word(first + i).fetch_or(bits[i], std::memory_order_release);
  }
}

void DirtyBitmap::enlarge(std::uint64_t more_bytes) {
  std::uint64_t bytes = 0;
  if (__builtin_add_overflow(bytes_, more_bytes, &bytes)) bytes = ~std::uint64_t{0};
  const std::uint64_t pages = pages_of(bytes, page_shift_);
  const std::size_t count = words_of(pages);
  auto words = std::make_unique<std::atomic<std::uint64_t>[]>(count);
  for (std::size_t i = 0; i < word_count_; ++i) {
    words[i].store(word(i).load(std::memory_order_relaxed), std::memory_order_relaxed);
  }
  words_ = std::move(words);
  pages_ = pages;
  word_count_ = count;
  bytes_ = bytes;
}

}  // namespace vmm::vm_memory
