// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "pending_writes.h"

#include <algorithm>

#include "vmm/base/assert.h"

namespace vmm::block::qcow2 {

std::uint32_t PendingWrites::add(const Allocation& allocation) {
  VMM_ASSERT_ALWAYS(allocation.count != 0 && allocation.count <= Allocation::kMaxCount);
  std::uint32_t index = 0;
  if (free_.empty()) {
    index = static_cast<std::uint32_t>(allocations_.size());
    allocations_.emplace_back();
  } else {
    index = free_.back();
    free_.pop_back();
  }
  allocations_[index] = allocation;
  used_.push_back(index);
  return index;
}

void PendingWrites::remove(std::uint32_t index) {
  const auto at = std::find(used_.begin(), used_.end(), index);
  VMM_ASSERT_ALWAYS(at != used_.end());
  *at = used_.back();
  used_.pop_back();
  free_.push_back(index);
}

std::optional<std::uint32_t> PendingWrites::find(std::uint64_t cluster) const {
  for (const std::uint32_t index : used_) {
    const Allocation& allocation = allocations_[index];
    if (!allocation.holds(cluster)) continue;
    if (((allocation.linked | allocation.dropped) & allocation.bit(cluster)) == 0) return index;
  }
  return std::nullopt;
}

void PendingWrites::drop(std::uint64_t cluster) {
  const std::optional<std::uint32_t> index = find(cluster);
  if (index) allocations_[*index].dropped |= allocations_[*index].bit(cluster);
}

std::uint64_t PendingWrites::begin(const Writer& writer) {
  std::uint32_t index = 0;
  if (free_writers_.empty()) {
    index = static_cast<std::uint32_t>(writers_.size());
    writers_.emplace_back();
  } else {
    index = free_writers_.back();
    free_writers_.pop_back();
  }
  writers_[index] = writer;
  ++allocations_[writer.allocation].writers;
  return first_token_ + 1 + index;
}

bool PendingWrites::end(std::uint64_t token) {
  const auto index = static_cast<std::uint32_t>(token - first_token_ - 1);
  free_writers_.push_back(index);
  return --allocations_[writers_[index].allocation].writers == 0;
}

}  // namespace vmm::block::qcow2
