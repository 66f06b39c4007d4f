// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>

#include "vmm/base/result.h"
#include "vmm/sys_util/mapping.h"
#include "vmm/vhost/vhost_error.h"
#include "vmm/vm_memory/memory_view.h"

namespace vmm::vhost {

/// The bitmap in which a vhost device marks the pages of guest memory that it wrote: bit a / 4096
/// for guest address a, the lowest bit of a byte first.
///
/// It covers guest addresses from 0 on; host memory is taken only for what the device marks.
///
/// Threads: collect() from any, one at a time, while the device runs.
class DirtyLog {
 public:
  /// VHOST_PAGE_SIZE, whatever the host's pages are
  static constexpr std::uint64_t kPageBytes = 4096;

  /// For all of `memory`. Errors: kNoRegions; those of mmap(2).
  static Result<DirtyLog> create(vm_memory::MemoryView memory);

  /// Moves the marks to the dirty bitmaps of the regions of `memory`; those of pages that are not
  /// in it are dropped with their word. Returns how many pages were marked.
  std::uint64_t collect(vm_memory::MemoryView memory) const;

  /// @{
  /// The bitmap, for VHOST_SET_LOG_BASE. Borrowed from this object.
  [[nodiscard]] std::byte* data() const { return mapping_.data(); }
  [[nodiscard]] std::size_t bytes() const { return mapping_.size(); }
  /// @}

 private:
  explicit DirtyLog(sys_util::Mapping mapping) : mapping_(std::move(mapping)) {}

  [[nodiscard]] std::uint64_t collect_word(std::uint64_t word, vm_memory::MemoryView memory) const;

  sys_util::Mapping mapping_;
};

}  // namespace vmm::vhost
