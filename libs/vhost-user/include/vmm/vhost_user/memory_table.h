// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "vmm/base/guest_address.h"
#include "vmm/base/result.h"
#include "vmm/sys_util/mapping.h"
#include "vmm/vhost_user/frontend_request.h"
#include "vmm/vhost_user/message_error.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::vhost_user {

/// The guest memory that a front end shares with a back end, mapped, and at which addresses the
/// front end has it.
///
/// Regions come in any order. They do not overlap, neither at guest addresses nor at those of the
/// front end, and end within their files. A front end that truncates a file later ends this process
/// with SIGBUS, so serve front ends that do not trust each other in processes of their own.
///
/// Threads: one at a time; the memory itself as GuestMemory.
class MemoryTable {
 public:
  /// While writes are noted, for which each region needs a bit for 4 KiB, wherever its file is
  /// sparse: 16 TiB.
  static constexpr std::uint64_t kMostTracked = std::uint64_t{1} << 44;

  MemoryTable();

  /// The memory, which follows all changes. Empty at first.
  [[nodiscard]] const vm_memory::GuestMemory& memory() const { return memory_; }
  [[nodiscard]] std::size_t size() const { return regions_.size(); }  ///< regions

  /// Replaces all regions; with an error nothing changes. The files are not needed afterwards.
  /// Errors: kOverlap, kTooMany; kBadRange for one that its file does not hold, or that does not
  /// begin and end with a page; kTooLarge beyond kMostTracked; those of mmap(2) and fstat(2).
  Result<void> set(std::span<const request::RegionFile> files);
  /// Adds one. Errors: as set().
  Result<void> add(const request::RegionFile& file);
  /// Removes the one with these addresses and this size. Errors: kNotFound.
  Result<void> remove(const MemoryRegion& region);
  /// Removes all of them.
  void clear();

  /// Whether writes to memory are noted from now on, for a dirty log. What is in flight
  /// is noted nowhere: stop the rings meanwhile. Errors: kTooLarge beyond kMostTracked; those of
  /// making a region.
  Result<void> track_writes(bool on);

  /// The guest address of what is at `user_address` in the front end; nullopt unless all of
  /// `bytes` bytes are in one region.
  [[nodiscard]] std::optional<GuestAddress> to_guest(std::uint64_t user_address,
                                                     std::uint64_t bytes) const;
  /// Where this process has a region, for postcopy; empty when there is no such region.
  [[nodiscard]] std::span<std::byte> host_of(const MemoryRegion& region) const;

 private:
  struct Entry {
    MemoryRegion region;
    std::shared_ptr<const sys_util::Mapping> mapping;  // the region's pages, and perhaps more
    std::byte* host = nullptr;
    std::shared_ptr<const vm_memory::Region> mapped;  // keeps the mapping, too
  };
  using Entries = std::vector<Entry>;

  Result<Entry> map(const request::RegionFile& file) const;
  Result<void> make_region(Entry& entry) const;
  Result<void> take(Entries entries);
  [[nodiscard]] std::uint64_t bytes() const;
  [[nodiscard]] Result<void> check_tracked(std::uint64_t bytes) const;

  Entries regions_;  // ascending by guest address
  vm_memory::GuestMemory memory_;
  bool track_ = false;
};

}  // namespace vmm::vhost_user
