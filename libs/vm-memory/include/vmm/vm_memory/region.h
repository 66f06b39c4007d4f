// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "vmm/base/guest_address.h"
#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/sys_util/mapping.h"
#include "vmm/vm_memory/dirty_bitmap.h"
#include "vmm/vm_memory/memory_error.h"

namespace vmm::vm_memory {

/// What holds the bytes of a region.
enum class Backing : std::uint8_t {
  kAnonymous,  ///< private memory of this process
  kMemfd,      ///< a sealed memfd, which other processes may map (vhost-user)
  kFile,       ///< a file of the caller's
  kExternal,   ///< memory of the caller's, which is not unmapped
};

/// The size of the host's pages behind a region, whose own size is a multiple of a huge one.
enum class HugePages : std::uint8_t {
  kNone,  ///< normal pages
  k2MiB,
  k1GiB,
};

/// Advice about transparent huge pages.
enum class ThpAdvice : std::uint8_t { kDefault, kAlways, kNever };

/// When the host's pages are taken.
enum class Prefault : std::uint8_t {
  kNone,      ///< at first touch: untouched guest memory costs the host nothing
  kPopulate,  ///< now
  kLock,      ///< now, and never swapped out
};

/// How to make one region. Only `base` and `bytes` are needed.
struct RegionConfig {
  GuestAddress base;                      ///< the first guest-physical address
  std::uint64_t bytes = 0;                ///< not 0; base + bytes is at most 2^64 - 1
  Backing backing = Backing::kAnonymous;  ///< see the fields below for what each needs
  /// kFile: borrowed for the call (the region keeps a duplicate).
  int fd = -1;
  /// kFile: where in the file, a multiple of the page size. The file's length is not checked:
  /// touching pages beyond its end raises SIGBUS.
  std::uint64_t file_offset = 0;
  /// kFile: false maps a private copy, and the file never changes.
  bool shared = true;
  /// kExternal: page aligned, `bytes` bytes, outlives every snapshot.
  std::byte* external = nullptr;
  HugePages huge_pages = HugePages::kNone;                 ///< kAnonymous and kMemfd
  ThpAdvice transparent_huge_pages = ThpAdvice::kDefault;  ///< madvise(2)
  Prefault prefault = Prefault::kNone;                     ///< by the thread that makes the region
  /// Let the host refuse memory that it could not provide (no MAP_NORESERVE). Always so for huge
  /// pages, which would otherwise run out with SIGBUS.
  bool reserve = false;
  bool mergeable = false;       ///< let the host share equal pages (KSM)
  bool dump = true;             ///< whether the bytes belong in a core dump
  bool dirty_tracking = false;  ///< see Region::dirty()
  /// What one bit stands for: a power of two.
  std::uint64_t dirty_page_bytes = DirtyBitmap::kDefaultPageBytes;
};

/// The file behind a region, for processes that map it too (vhost-user, VFIO).
struct FileBacking {
  int fd = -1;               ///< borrowed from the region
  std::uint64_t offset = 0;  ///< bytes into the file, of the region's start
};

/// One range of guest RAM with the host memory it owns. Immutable, shared by snapshots.
class Region {
 public:
  /// Memory is reserved lazily (MAP_NORESERVE) unless asked otherwise, readable and writable. From
  /// 2 MiB on it lies to large pages as its guest addresses do, so that KVM can map them whole.
  /// Errors: a RegionError; EINVAL for a bad file offset; the errno of mmap(2), memfd_create(2),
  /// ftruncate(2), madvise(2) or mlock(2).
  static Result<std::shared_ptr<const Region>> create(const RegionConfig& config);

  ///@{
  /// As asked for by RegionConfig.
  [[nodiscard]] GuestAddress base() const { return base_; }
  [[nodiscard]] std::uint64_t bytes() const { return host_.size(); }
  ///@}
  /// Inclusive.
  [[nodiscard]] GuestAddress last_address() const {
    return GuestAddress(base_.raw() + (host_.size() - 1));
  }
  /// Where KVM, vhost or VFIO find the memory; not to be dereferenced.
  [[nodiscard]] std::span<std::byte> host() const { return host_; }
  /// The file, where other processes can map it: kMemfd, and kFile when shared.
  [[nodiscard]] std::optional<FileBacking> file() const;
  ///@{
  /// As asked for by RegionConfig.
  [[nodiscard]] Backing backing() const { return backing_; }
  [[nodiscard]] HugePages huge_pages() const { return huge_pages_; }
  ///@}
  /// nullptr without dirty tracking. Bits may be marked through a const region.
  [[nodiscard]] DirtyBitmap* dirty() const { return dirty_.get(); }

 private:
  Region() = default;

  GuestAddress base_;
  std::span<std::byte> host_;
  sys_util::Mapping mapping_;  // empty for external memory
  UniqueFd fd_;
  std::uint64_t file_offset_ = 0;
  Backing backing_ = Backing::kAnonymous;
  HugePages huge_pages_ = HugePages::kNone;
  std::unique_ptr<DirtyBitmap> dirty_;
};

/// Whether both regions map some byte of one file, so that a write to one shows in the other.
[[nodiscard]] bool files_overlap(const Region& a, const Region& b);

}  // namespace vmm::vm_memory
