// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/vm_allocator/address_range.h"
#include "vmm/vm_allocator/alloc_error.h"

namespace vmm::vm_allocator {

/// What to allocate.
struct Block {
  std::uint64_t size;           ///< addresses, at least 1; needs no alignment of its own
  std::uint64_t alignment = 1;  ///< of the first address; a power of two
};

/// Hands out ranges of an address space (guest-physical windows, I/O ports, IOVAs) and takes them
/// back.
///
/// Time: O(log n) in the number of allocated ranges, with one exception: when gaps are large
/// enough for a block but lie so that its alignment does not fit, each such gap is looked at.
/// Memory: 48 bytes for each range that is allocated at the same time.
/// Thread-safety: none; the owner locks. State for a snapshot is the list of allocated ranges
/// (for_each_allocated), restored by allocate_at.
class AddressAllocator {
 public:
  /// Errors: kBadRange.
  static Result<AddressAllocator, AllocError> create(AddressRange range);

  /// The lowest place where the block fits.
  /// Errors: kBadSize, kBadAlignment, kUnavailable.
  Result<AddressRange, AllocError> allocate_first(Block block);
  /// The highest place where the block fits. Errors as above.
  Result<AddressRange, AllocError> allocate_last(Block block);
  /// The place that begins at `first`. Errors as above, and kUnaligned.
  Result<AddressRange, AllocError> allocate_at(std::uint64_t first, Block block);
  /// Takes back exactly one range that was handed out; free neighbours merge.
  /// Errors: kNotAllocated; nothing has changed then.
  Result<void, AllocError> free(AddressRange range);

  /// The lowest free range that reaches to `from` or beyond.
  [[nodiscard]] std::optional<AddressRange> next_free(std::uint64_t from) const;
  /// The lowest allocated range that reaches to `from` or beyond.
  [[nodiscard]] std::optional<AddressRange> next_allocated(std::uint64_t from) const;
  /// Calls `visit(AddressRange)` for each free range, in ascending order.
  template <class Visit>
  void for_each_free(Visit&& visit) const {
    for_each(&AddressAllocator::next_free, visit);
  }
  /// Calls `visit(AddressRange)` for each allocated range, in ascending order.
  template <class Visit>
  void for_each_allocated(Visit&& visit) const {
    for_each(&AddressAllocator::next_allocated, visit);
  }

  /// What create() was given.
  [[nodiscard]] AddressRange range() const { return range_; }
  /// How many ranges are allocated.
  [[nodiscard]] std::size_t count() const { return count_; }

 private:
  // An AVL tree of the allocated ranges, in one vector. Each node also says how far the free gap
  // behind its range goes, and how large the largest such gap in its subtree is. The gap before
  // the first range, lead_, is kept apart: it can be the whole 64-bit space, whose size has 65
  // bits, and no node's gap can.
  using Index = std::uint32_t;
  static constexpr Index kNil = 0;  // nodes_[kNil] is an empty subtree
  struct Node {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::uint64_t gap_last = 0;  // the gap behind: (last, gap_last]
    std::uint64_t max_gap = 0;   // the largest gap in this subtree
    std::array<Index, 2> child{kNil, kNil};
    std::uint32_t height = 0;
  };
  struct Place {
    std::uint64_t first;
    Index before;  // the node whose gap it is; kNil for lead_
  };
  struct Search;

  explicit AddressAllocator(AddressRange range);

  template <class Visit>
  void for_each(std::optional<AddressRange> (AddressAllocator::*next)(std::uint64_t) const,
                Visit&& visit) const {
    std::uint64_t from = range_.first;
    while (const std::optional<AddressRange> found = (this->*next)(from)) {
      visit(*found);
      if (found->last == range_.last) return;
      from = found->last + 1;
    }
  }

  [[nodiscard]] std::optional<Place> find_in_lead(const Search& search) const;
  [[nodiscard]] std::optional<Place> find_in_tree(Index root, const Search& search) const;
  [[nodiscard]] std::optional<AddressRange> next_gap(Index root, std::uint64_t from) const;
  [[nodiscard]] Index find_before(std::uint64_t address) const;
  AddressRange take(const Place& place, std::uint64_t size);
  [[nodiscard]] Index new_node();
  void insert(Index& root, Index fresh);
  void erase(Index& root, std::uint64_t first);
  [[nodiscard]] Index detach_last(Index& root);
  void update(Node& node) const;
  void rebalance(Index& root);
  void rotate(Index& root, std::size_t side);

  AddressRange range_;
  std::optional<AddressRange> lead_;  // the gap before the first allocated range
  std::vector<Node> nodes_;
  Index root_ = kNil;
  Index spare_ = kNil;  // nodes not in use, linked by child[0]
  std::size_t count_ = 0;
};

}  // namespace vmm::vm_allocator
