// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/vhost/vhost_error.h"
#include "vmm/vm_memory/memory_view.h"

namespace vmm::vhost {

/// Which guest memory a vhost device reaches, and where it is in this process. It reaches nothing
/// else, whatever the guest says.
///
///   VMM_TRY(const auto table, MemoryTable::create(snapshot->view().regions()));
///   VMM_TRY_DO(device.set_memory(table));
///
/// Whoever hands a table to a device keeps its memory mapped until the device has another table or
/// does not run any more: the kernel goes by addresses of this process, and would write to
/// whatever is mapped there next.
class MemoryTable {
 public:
  /// What the format has room for. The kernel takes 64 unless its vhost module was told otherwise
  /// (max_mem_regions), and answers with E2BIG beyond.
  static constexpr std::size_t kMaxRegions = 255;

  /// `regions` ascend. Errors: kNoRegions, kTooManyRegions, kEmptyRegion, kRegionOverflow,
  /// kUnsorted.
  static Result<MemoryTable, VhostError> create(std::span<const vm_memory::RegionSpan> regions);

  /// How many regions there are, at least 1.
  [[nodiscard]] std::size_t size() const { return (words_.size() - kHeaderWords) / kRegionWords; }
  /// As struct vhost_memory of <linux/vhost_types.h>, in memory of its alignment.
  [[nodiscard]] const void* data() const { return words_.data(); }
  /// Of data(): 8, and 32 for each region.
  [[nodiscard]] std::size_t bytes() const { return words_.size() * sizeof(std::uint64_t); }

 private:
  static constexpr std::size_t kHeaderWords = 1;
  static constexpr std::size_t kRegionWords = 4;

  MemoryTable() = default;

  std::vector<std::uint64_t> words_;
};

}  // namespace vmm::vhost
