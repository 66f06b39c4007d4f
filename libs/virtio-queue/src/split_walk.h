// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Reading, validating and resolving a chain of a split ring: virtio 1.3, 2.7.5.
//
// The fast walks know the chains that drivers make, and decline all others; the careful one knows
// all, and the reason why one is refused. What a fast one has read before it
// declined is forgotten. The chain's head is set before, and is a descriptor of the table.

#include <cstdint>

#include "chain_filler.h"
#include "vmm/virtio_queue/chain.h"
#include "vmm/virtio_queue/detail/ram.h"
#include "vmm/virtio_queue/detail/ring_word.h"
#include "vmm/virtio_queue/layout.h"
#include "vmm/virtio_queue/queue_error.h"

namespace vmm::virtio_queue::detail {

/// What `next` and flags of a descriptor in a table of `size` descriptors have no bits in, when the
/// flags are flipped that they should have; `size` is a power of two.
[[nodiscard]] constexpr std::uint32_t step_mask(std::uint32_t size) { return ~((size - 1) << 16); }

/// A table of descriptors, and a place in it, for the fast walk. In the queue's own, whose size is
/// a power of two, one comparison covers flags and `next`.
template <bool kPowerOfTwo>
class SplitTable {
 public:
  /// `bound` is a step_mask(), or else the bytes of the table.
  SplitTable(const std::byte* begin, std::uint64_t bound) : begin_(begin), bound_(bound) {}

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
  std::uint64_t bound_;
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

/// A chain without an indirect table, whose first descriptor is at `offset`.
[[gnu::always_inline]] inline bool split_walk(Chain& chain, const std::byte* begin,
                                              std::uint64_t offset, std::uint64_t table_bytes,
                                              std::uint64_t mask, const Window& window) {
  ChainFiller filler(chain, window);
  SplitTable<true> table(begin, mask);
  table.go_to(offset);
  return table.add_run<kDescNext>(filler) && add_rest(table, filler) &&
         filler.finish(table_bytes);  // pieces are as large as descriptors
}

/// A chain that ends in an indirect table.
[[gnu::always_inline]] inline bool split_walk_indirect(Chain& chain, const std::byte* begin,
                                                       std::uint64_t mask, const Window& window) {
  ChainFiller filler(chain, window);
  SplitTable<true> table(begin, mask);
  table.go_to(std::size_t{chain.head()} * kDescriptorBytes);
  if (!table.add_run<kDescNext>(filler)) return false;
  const auto bytes = static_cast<std::uint32_t>(table.length());
  if ((table.flags() & ~std::uint32_t{kDescWrite}) != kDescIndirect || !is_good_table(bytes)) {
    return false;
  }
  const std::byte* const inner_begin = filler.table(table.address(), bytes);
  if (inner_begin == nullptr) return false;
  SplitTable<false> inner(inner_begin, bytes);
  const std::uint32_t limit = filler.size() + bytes;
  inner.go_to(0);
  return inner.add_run<kDescNext>(filler) && add_rest(inner, filler) && filler.finish(limit);
}

/// Any chain. Errors: those of a malformed one.
Result<void, QueueError> split_walk_carefully(Chain& chain, const std::byte* table,
                                              std::uint32_t size, const Ram& ram, Window& window);

}  // namespace vmm::virtio_queue::detail
