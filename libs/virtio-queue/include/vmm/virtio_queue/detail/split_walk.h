// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Reading, validating and resolving a chain of a split ring: virtio 1.3, 2.7.5.
//
// The fast walks know the chains that drivers make, and decline all others; the careful one knows
// all, and the reason why one is refused. What a fast one has read before it declined is
// forgotten. The chain's head is set before, and is a descriptor of the table.

#include <cstdint>

#include "vmm/virtio_queue/chain.h"
#include "vmm/virtio_queue/detail/chain_filler.h"
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
  [[gnu::always_inline]] SplitTable(const std::byte* begin, std::uint64_t bound,
                                    std::uint64_t offset)
      : begin_(begin), bound_(bound) {
    step(offset);
  }

  [[nodiscard]] std::uint16_t flags() const { return static_cast<std::uint16_t>(rest_ ^ flip_); }
  [[nodiscard]] std::uint64_t address() const { return address_; }
  [[nodiscard]] std::uint64_t length() const { return length_; }

  /// Adds the descriptors from here on whose flags are exactly kFlags and whose `next` is one, up
  /// to the first other one.
  template <std::uint16_t kFlags>
  [[gnu::always_inline]] bool add_run(ChainFiller& filler) {
    flip(kFlags);
    while (kPowerOfTwo ? (rest_ & bound_) == 0 : (rest_ & 0xffff) == 0 && rest_ >> 12 < bound_) {
      if (!add_one(filler) || filler.is_full()) [[unlikely]]
        return false;
      step(rest_ >> 12);  // 16 times the index
    }
    return true;
  }
  [[gnu::always_inline]] bool add_one(ChainFiller& filler) const {
    return filler.add(address_, length_);
  }

 private:
  /// Each field is read once.
  [[gnu::always_inline]] void step(std::size_t offset) {
    address_ = load<std::uint64_t>(begin_ + offset);
    length_ = load_wide<std::uint32_t>(begin_ + offset + 8);
    rest_ = load_flipped<std::uint32_t>(begin_ + offset + 12, flip_);
  }
  [[gnu::always_inline]] void flip(std::uint16_t flags) {
    rest_ ^= std::uint32_t{flip_} ^ flags;
    flip_ = flags;
  }

  const std::byte* begin_;
  std::uint64_t bound_;
  std::uint16_t flip_ = kDescNext;  // which flags are flipped in rest_; a constant in each place
  std::uint32_t rest_;              // flags, and next in the upper half
  std::uint64_t address_;
  std::uint64_t length_;
};

/// Adds the rest of a chain, which has no other table.
template <class Table>
[[gnu::always_inline]] inline bool add_rest(Table& table, ChainFiller& filler) {
  if (table.flags() == 0) {  // nothing is writable
    return table.add_one(filler) && filler.turn();
  }
  if (!filler.turn()) return false;
  if (!table.template add_run < kDescNext | kDescWrite > (filler)) return false;
  return table.flags() == kDescWrite && table.add_one(filler);
}

/// A chain without an indirect table in a ring of `table_bytes`, whose first descriptor is at
/// `offset`.
[[gnu::always_inline]] inline bool split_walk(Chain& chain, const std::byte* begin,
                                              std::uint64_t table_bytes, std::uint64_t mask,
                                              const Window& window, std::uint64_t offset) {
  ChainFiller filler(chain, window, table_bytes);
  SplitTable<true> table(begin, mask, offset);
  return table.add_run<kDescNext>(filler) && add_rest(table, filler) && filler.finish();
}

/// A chain that ends in an indirect table.
[[gnu::always_inline]] inline bool split_walk_indirect(Chain& chain, const std::byte* begin,
                                                       std::uint64_t table_bytes,
                                                       std::uint64_t mask, const Window& window) {
  ChainFiller filler(chain, window, table_bytes);
  SplitTable<true> table(begin, mask, std::uint64_t{chain.head()} * kDescriptorBytes);
  if (!table.add_run<kDescNext>(filler)) return false;
  const auto bytes = static_cast<std::uint32_t>(table.length());
  if ((table.flags() & ~kDescWrite) != kDescIndirect || !is_good_table(bytes)) {
    return false;
  }
  const std::byte* const inner_begin = filler.table(table.address(), bytes);
  if (inner_begin == nullptr) return false;
  const std::uint32_t limit = filler.size() + bytes;
  SplitTable<false> inner(inner_begin, bytes, 0);
  return inner.add_run<kDescNext>(filler) && add_rest(inner, filler) && filler.finish() &&
         filler.size() <= limit;
}

/// Any chain. Errors: those of a malformed one.
Result<void, QueueError> split_walk_carefully(Chain& chain, const std::byte* table,
                                              std::uint32_t size, const Ram& ram, Window& window);

}  // namespace vmm::virtio_queue::detail
