// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "reserved.h"

#include <algorithm>

namespace vmm::virtio_iommu {
namespace {

// The parts of a range beside the doorbell.
void add_around(std::vector<ReservedRange>& list, const ReservedRange& range,
                const std::optional<ReservedRange>& msi) {
  if (!msi || range.last < msi->first || range.first > msi->last) return list.push_back(range);
  if (range.first < msi->first) list.push_back({.first = range.first, .last = msi->first - 1});
  if (range.last > msi->last) list.push_back({.first = msi->last + 1, .last = range.last});
}

}  // namespace

std::vector<ReservedRange> reserved_list(std::span<const ReservedRange> own,
                                         const std::optional<ReservedRange>& msi) {
  std::vector<ReservedRange> list;
  for (const ReservedRange& range : own) {
    if (range.first <= range.last) {
      add_around(list, {.first = range.first, .last = range.last}, msi);
    }
  }
  std::ranges::sort(list, {}, &ReservedRange::first);
  std::vector<ReservedRange> merged;
  for (const ReservedRange& range : list) {
    const bool meets = !merged.empty() &&
                       (merged.back().last == UINT64_MAX || range.first <= merged.back().last + 1);
    if (meets) {
      merged.back().last = std::max(merged.back().last, range.last);
    } else {
      merged.push_back(range);
    }
  }
  if (msi) merged.push_back({.first = msi->first, .last = msi->last, .msi = true});
  std::ranges::sort(merged, {}, &ReservedRange::first);
  return merged;
}

bool overlaps(std::span<const ReservedRange> reserved, std::uint64_t first, std::uint64_t last) {
  return std::ranges::any_of(reserved, [&](const ReservedRange& range) {
    return first <= range.last && last >= range.first;
  });
}

}  // namespace vmm::virtio_iommu
