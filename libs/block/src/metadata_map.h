// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <map>
#include <vector>

namespace vmm::block::qcow2 {

/// Which clusters of the file hold metadata, so that no data is ever written there whatever the
/// tables of a broken image say.
///
/// Threads: one at a time.
class MetadataMap {
 public:
  /// Clusters of the file.
  struct Range {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
  };

  /// For many at once, before finish().
  void collect(Range range) { ranges_.push_back(range); }
  /// Answers false when some of what was collected overlaps.
  [[nodiscard]] bool finish();

  void add(Range range) { added_.insert_or_assign(range.first, range.count); }
  /// Forgets exactly one range, which is data or free from now on.
  void remove(Range range);
  [[nodiscard]] bool overlaps(Range range) const;

 private:
  std::vector<Range> ranges_;                     // from the start on; sorted, apart
  std::map<std::uint64_t, std::uint64_t> added_;  // what came later; apart
};

}  // namespace vmm::block::qcow2
