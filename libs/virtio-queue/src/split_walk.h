// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Reading, validating and resolving a chain of a split ring: virtio 1.3, 2.7.5.
//
// The fast walk knows the chains that drivers make, and declines all others; the careful one knows
// all, and the reason why one is refused. What the fast one has read before it declined is
// forgotten. The chain's head is set before, and below `size`.

#include <cstdint>

#include "chain_filler.h"
#include "vmm/virtio_queue/chain.h"
#include "vmm/virtio_queue/detail/ram.h"
#include "vmm/virtio_queue/detail/ring_word.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::virtio_queue::detail {

/// A table of descriptors, and a place in it, for the fast walk. In the queue's own, whose size is
/// a power of two, one comparison covers flags and `next`.
template <bool kPowerOfTwo>
class SplitTable {
 public:
  SplitTable(const std::byte* begin, std::uint32_t bytes)
      : begin_(begin), bound_(kPowerOfTwo ? ~((bytes / kDescriptorBytes - 1) << 16) : bytes) {}

  void go_to(std::size_t offset) { step(offset, 0); }
  [[nodiscard]] std::uint32_t flags() const { return rest_ & 0xffff; }
  [[nodiscard]] std::uint64_t address() const { return address_; }
  [[nodiscard]] std::uint64_t length() const { return length_; }

  /// Adds the descriptors from here on whose flags are exactly kFlags and whose `next` is one, up
  /// to the first other one.
  template <std::uint16_t kFlags>
  [[gnu::always_inline]] bool add_run(ChainFiller& filler) {
    rest_ ^= kFlags;
    while (kPowerOfTwo ? (rest_ & bound_) == 0 : (rest_ & 0xffff) == 0 && rest_ >> 12 < bound_) {
      if (!add_one(filler) || filler.is_full()) [[unlikely]]
        return false;
      step(rest_ >> 12, kFlags);  // 16 times the index
    }
    rest_ ^= kFlags;
    return true;
  }
  [[gnu::always_inline]] bool add_one(ChainFiller& filler) const {
    return filler.add(address_, length_);
  }

 private:
  /// Each field is read once.
  [[gnu::always_inline]] void step(std::size_t offset, std::uint32_t flip) {
    address_ = load<std::uint64_t>(begin_ + offset);
    length_ = load_wide<std::uint32_t>(begin_ + offset + 8);
    rest_ = load_flipped<std::uint32_t>(begin_ + offset + 12, flip);
  }

  const std::byte* begin_;
  std::uint32_t bound_;
  std::uint32_t rest_ = 0;  // flags, and next in the upper half
  std::uint64_t address_ = 0;
  std::uint64_t length_ = 0;
};

/// Adds the rest of a chain, which has no other table.
template <class Table>
[[gnu::always_inline]] inline bool add_rest(Table& table, ChainFiller& filler) {
  if (table.flags() == 0) {  // nothing is writable
    if (!table.add_one(filler)) return false;
    filler.turn();
    return true;
  }
  filler.turn();
  if (!table.template add_run < kDescNext | kDescWrite > (filler)) return false;
  return table.flags() == kDescWrite && table.add_one(filler);
}

/// The head is set, and below `size`, which is a power of two.
[[gnu::always_inline]] inline bool split_walk(Chain& chain, const std::byte* begin,
                                              std::uint32_t size, const Window& window) {
  ChainFiller filler(chain, window);
  const std::uint32_t bytes = size * kDescriptorBytes;
  SplitTable<true> table(begin, bytes);
  table.go_to(std::size_t{chain.head()} * kDescriptorBytes);
  if (!table.add_run<kDescNext>(filler)) return false;
  if ((table.flags() & ~std::uint32_t{kDescWrite}) != kDescIndirect) {
    return add_rest(table, filler) && filler.finish(bytes);
  }
  const auto inner_bytes = static_cast<std::uint32_t>(table.length());
  if (!is_good_table(inner_bytes)) return false;
  const std::byte* const inner_begin = filler.table(table.address(), inner_bytes);
  if (inner_begin == nullptr) return false;
  SplitTable<false> inner(inner_begin, inner_bytes);
  const std::uint32_t limit = filler.size() + inner_bytes;  // pieces are as large as descriptors
  inner.go_to(0);
  return inner.add_run<kDescNext>(filler) && add_rest(inner, filler) && filler.finish(limit);
}

/// Errors: those of a malformed chain.
Result<void, QueueError> split_walk_carefully(Chain& chain, const std::byte* table,
                                              std::uint32_t size, const Ram& ram, Window& window);

}  // namespace vmm::virtio_queue::detail
