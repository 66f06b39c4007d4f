// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace vmm::virtio_mem {

/// Which blocks of a region are plugged.
class BlockMap {
 public:
  /// Consecutive blocks.
  struct Run {
    std::uint64_t first = 0;
    std::uint64_t count = 0;
  };

  explicit BlockMap(std::uint64_t blocks) : plugged_(blocks) {}

  /// How many of the run are plugged. Precondition, here and below: it lies in the region.
  [[nodiscard]] std::uint64_t count(const Run& run) const;
  void set(const Run& run, bool plugged);
  void clear();

 private:
  std::vector<bool> plugged_;
};

}  // namespace vmm::virtio_mem
