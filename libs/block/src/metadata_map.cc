// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "metadata_map.h"

#include <algorithm>
#include <iterator>

namespace vmm::block::qcow2 {

bool MetadataMap::finish() {
  std::sort(ranges_.begin(), ranges_.end(),
            [](const Range& a, const Range& b) { return a.first < b.first; });
  const auto overlap = [](const Range& a, const Range& b) { return b.first - a.first < a.count; };
  return std::adjacent_find(ranges_.begin(), ranges_.end(), overlap) == ranges_.end();
}

void MetadataMap::remove(Range range) {
  if (added_.erase(range.first) != 0) return;
  const auto at =
      std::lower_bound(ranges_.begin(), ranges_.end(), range.first,
                       [](const Range& known, std::uint64_t first) { return known.first < first; });
  // Kept in its place, as rarely one goes.
  if (at != ranges_.end() && at->first == range.first) at->count = 0;
}

bool MetadataMap::overlaps(Range range) const {
  const std::uint64_t end = range.first + range.count;
  const auto next =
      std::lower_bound(ranges_.begin(), ranges_.end(), end,
                       [](const Range& known, std::uint64_t first) { return known.first < first; });
  // Of the ones that begin before the end, the last that is still there is the one that matters.
  for (auto at = next; at != ranges_.begin();) {
    --at;
    if (at->count == 0) continue;
    if (range.first - at->first < at->count || at->first >= range.first) return true;
    break;
  }
  const auto added = added_.lower_bound(end);
  if (added == added_.begin()) return false;
  const auto& [first, count] = *std::prev(added);
  return first >= range.first || range.first - first < count;
}

}  // namespace vmm::block::qcow2
