// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_allocator/address_allocator.h"

#include <algorithm>

#include "vmm/base/checked.h"

namespace vmm::vm_allocator {
namespace {

enum class Side : std::uint8_t { kLow, kHigh };

std::optional<AllocError> refusal(const Block& block) {
  if (block.size == 0) return AllocError::kBadSize;
  if (!is_power_of_two(block.alignment)) return AllocError::kBadAlignment;
  return std::nullopt;
}

}  // namespace

/// A block to place as low or as high as it goes.
struct AddressAllocator::Search {
  Block block;
  Side side;

  [[nodiscard]] std::optional<std::uint64_t> fit(AddressRange gap) const {
    const std::uint64_t more = block.size - 1;  // addresses after the first
    if (gap.last - gap.first < more) return std::nullopt;
    if (side == Side::kHigh) {
      const std::uint64_t first = align_down(gap.last - more, block.alignment);
      if (first < gap.first) return std::nullopt;
      return first;
    }
    const std::uint64_t mask = block.alignment - 1;
    const std::uint64_t first = (gap.first + mask) & ~mask;
    // The sum wrapped when `first` is below the gap.
    if (first < gap.first || first > gap.last || gap.last - first < more) return std::nullopt;
    return first;
  }
};

AddressAllocator::AddressAllocator(AddressRange range) : range_(range), lead_(range), nodes_(1) {}

Result<AddressAllocator, AllocError> AddressAllocator::create(AddressRange range) {
  if (range.first > range.last) return fail(AllocError::kBadRange);
  return AddressAllocator(range);
}

Result<AddressRange, AllocError> AddressAllocator::allocate_first(Block block) {
  if (const auto error = refusal(block)) return fail(*error);
  const Search search{block, Side::kLow};
  std::optional<Place> place = find_in_lead(search);
  if (!place) place = find_in_tree(root_, search);
  if (!place) return fail(AllocError::kUnavailable);
  return take(*place, block.size);
}

Result<AddressRange, AllocError> AddressAllocator::allocate_last(Block block) {
  if (const auto error = refusal(block)) return fail(*error);
  const Search search{block, Side::kHigh};
  std::optional<Place> place = find_in_tree(root_, search);
  if (!place) place = find_in_lead(search);
  if (!place) return fail(AllocError::kUnavailable);
  return take(*place, block.size);
}

Result<AddressRange, AllocError> AddressAllocator::allocate_at(std::uint64_t first, Block block) {
  if (const auto error = refusal(block)) return fail(*error);
  if ((first & (block.alignment - 1)) != 0) return fail(AllocError::kUnaligned);
  const std::optional<AddressRange> wanted = AddressRange::from_size(first, block.size);
  if (!wanted) return fail(AllocError::kUnavailable);
  const Index before = find_before(first);
  if (before == kNil) {
    if (!lead_ || !lead_->contains(*wanted)) return fail(AllocError::kUnavailable);
  } else if (first <= nodes_[before].last || wanted->last > nodes_[before].gap_last) {
    return fail(AllocError::kUnavailable);
  }
  return take({.first = first, .before = before}, block.size);
}

Result<void, AllocError> AddressAllocator::free(AddressRange range) {
  const Index index = find_before(range.first);
  const Node& node = nodes_[index];
  if (index == kNil || node.first != range.first || node.last != range.last) {
    return fail(AllocError::kNotAllocated);
  }
  const Index before = range.first == range_.first ? kNil : find_before(range.first - 1);
  if (before != kNil) {
    nodes_[before].gap_last = node.gap_last;
  } else {
    lead_ = AddressRange{range_.first, node.gap_last};
  }
  erase(root_, range.first);
  nodes_[index].child[0] = spare_;
  spare_ = index;
  --count_;
  return {};
}

std::optional<AddressRange> AddressAllocator::next_free(std::uint64_t from) const {
  if (lead_ && from <= lead_->last) return lead_;
  return next_gap(root_, from);
}

/// The lowest gap that reaches to `from` or beyond; subtrees without gaps are not entered.
std::optional<AddressRange> AddressAllocator::next_gap(Index root, std::uint64_t from) const {
  while (nodes_[root].max_gap != 0) {
    const Node& node = nodes_[root];
    if (node.gap_last >= from) {
      if (const auto gap = next_gap(node.child[0], from)) return gap;
      if (node.gap_last != node.last) return AddressRange{node.last + 1, node.gap_last};
    }
    root = node.child[1];
  }
  return std::nullopt;
}

std::optional<AddressRange> AddressAllocator::next_allocated(std::uint64_t from) const {
  std::optional<AddressRange> best;
  for (Index index = root_; index != kNil;) {
    const Node& node = nodes_[index];
    const bool reaches = node.last >= from;
    if (reaches) best = AddressRange{node.first, node.last};
    index = node.child[reaches ? 0 : 1];
  }
  return best;
}

std::optional<AddressAllocator::Place> AddressAllocator::find_in_lead(const Search& search) const {
  if (!lead_) return std::nullopt;
  const std::optional<std::uint64_t> first = search.fit(*lead_);
  if (!first) return std::nullopt;
  return Place{.first = *first, .before = kNil};
}

/// Subtrees without a gap of the size are not entered.
std::optional<AddressAllocator::Place> AddressAllocator::find_in_tree(Index root,
                                                                      const Search& search) const {
  const std::size_t near = search.side == Side::kLow ? 0 : 1;
  while (nodes_[root].max_gap >= search.block.size) {
    const Node& node = nodes_[root];
    if (const auto place = find_in_tree(node.child[near], search)) return place;
    if (node.gap_last != node.last) {
      if (const auto first = search.fit({node.last + 1, node.gap_last})) {
        return Place{.first = *first, .before = root};
      }
    }
    root = node.child[1 - near];
  }
  return std::nullopt;
}

/// The last range that begins at or before `address`.
AddressAllocator::Index AddressAllocator::find_before(std::uint64_t address) const {
  Index best = kNil;
  for (Index index = root_; index != kNil;) {
    const Node& node = nodes_[index];
    const bool begins = node.first <= address;
    if (begins) best = index;
    index = node.child[begins ? 1 : 0];
  }
  return best;
}

AddressRange AddressAllocator::take(const Place& place, std::uint64_t size) {
  const Index fresh = new_node();
  Node& node = nodes_[fresh];
  node.first = place.first;
  node.last = place.first + (size - 1);
  if (place.before != kNil) {
    node.gap_last = nodes_[place.before].gap_last;
    nodes_[place.before].gap_last = place.first - 1;
  } else {
    node.gap_last = lead_->last;
    if (place.first == range_.first) {
      lead_.reset();
    } else {
      lead_->last = place.first - 1;
    }
  }
  const AddressRange taken{node.first, node.last};
  // The range before is on the way to the new one, so insert() updates its subtree too.
  insert(root_, fresh);
  ++count_;
  return taken;
}

AddressAllocator::Index AddressAllocator::new_node() {
  if (spare_ == kNil) {
    nodes_.emplace_back();
    return static_cast<Index>(nodes_.size() - 1);
  }
  const Index index = spare_;
  spare_ = nodes_[index].child[0];
  nodes_[index] = Node();
  return index;
}

void AddressAllocator::insert(Index& root, Index fresh) {
  if (root == kNil) {
    root = fresh;
    update(nodes_[root]);
    return;
  }
  Node& node = nodes_[root];
  insert(node.child[nodes_[fresh].first < node.first ? 0 : 1], fresh);
  rebalance(root);
}

/// Precondition: a range begins at `first`. The range before it is on the way there or below it,
/// so its subtree is updated too.
void AddressAllocator::erase(Index& root, std::uint64_t first) {
  Node& node = nodes_[root];
  if (first != node.first) {
    erase(node.child[first < node.first ? 0 : 1], first);
    rebalance(root);
    return;
  }
  if (node.child[0] == kNil) {
    root = node.child[1];
    return;
  }
  const Index heir = detach_last(node.child[0]);
  nodes_[heir].child = node.child;
  root = heir;
  rebalance(root);
}

AddressAllocator::Index AddressAllocator::detach_last(Index& root) {
  Node& node = nodes_[root];
  if (node.child[1] == kNil) {
    const Index last = root;
    root = node.child[0];
    return last;
  }
  const Index last = detach_last(node.child[1]);
  rebalance(root);
  return last;
}

void AddressAllocator::update(Node& node) const {
  const Node& left = nodes_[node.child[0]];
  const Node& right = nodes_[node.child[1]];
  node.height = 1 + std::max(left.height, right.height);
  node.max_gap = std::max({node.gap_last - node.last, left.max_gap, right.max_gap});
}

/// Lifts the child on `side` above `root`.
void AddressAllocator::rotate(Index& root, std::size_t side) {
  const Index lifted = nodes_[root].child[side];
  nodes_[root].child[side] = nodes_[lifted].child[1 - side];
  nodes_[lifted].child[1 - side] = root;
  update(nodes_[root]);
  root = lifted;
  update(nodes_[root]);
}

void AddressAllocator::rebalance(Index& root) {
  const auto height = [this](Index index) { return nodes_[index].height; };
  Node& node = nodes_[root];
  const std::uint32_t left = height(node.child[0]);
  const std::uint32_t right = height(node.child[1]);
  if (left <= right + 1 && right <= left + 1) {
    update(node);
    return;
  }
  const std::size_t tall = left > right ? 0 : 1;
  const Node& child = nodes_[node.child[tall]];
  if (height(child.child[1 - tall]) > height(child.child[tall])) {
    rotate(node.child[tall], 1 - tall);
  }
  rotate(root, tall);
}

}  // namespace vmm::vm_allocator
