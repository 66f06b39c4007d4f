// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/file_mapping.h"
#include "vmm/vhost_user/payload.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::vhost_user {

/// The bitmap of a front end that migrates: a bit for each page of 4 KiB of guest memory, from
/// address 0 on, set when the page was written.
///
/// Writes are noted in the bitmaps of the regions, where they cost least, and brought here by
/// collect(): often enough not to leave it all for the end, and for the last time when the rings
/// have stopped.
///
/// Threads: one at a time. The front end reads and clears bits meanwhile.
class DirtyLog {
 public:
  /// Maps it. Errors: kBadRange when the file does not hold it; those of mmap(2) and fstat(2).
  static Result<DirtyLog> map(const LogArea& area, const UniqueFd& fd);

  /// Whether it has a bit for each page of this memory.
  [[nodiscard]] bool covers(const vm_memory::RegionMap& memory) const;
  /// Whether it has one for the page of this address.
  [[nodiscard]] bool covers(GuestAddress address) const;
  /// Moves what is noted in the regions to the log. Pages that it does not cover are forgotten.
  void collect(const vm_memory::RegionMap& memory) const;
  /// Sets the bits of a range of guest memory.
  void mark(std::uint64_t address, std::uint64_t bytes) const;

 private:
  DirtyLog(sys_util::FileMapping mapped, std::size_t bytes)
      : mapped_(std::move(mapped)), bytes_(bytes) {}

  void mark_page(std::uint64_t page) const;
  /// Marks the pages from `first` on for which bits are set.
  void mark_words(std::uint64_t first, std::span<const std::uint64_t> words) const;

  sys_util::FileMapping mapped_;
  std::size_t bytes_;
};

}  // namespace vmm::vhost_user
