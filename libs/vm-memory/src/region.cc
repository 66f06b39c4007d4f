// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_memory/region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <limits>
#include <utility>

#include "vmm/base/checked.h"
#include "vmm/sys_util/fd_flags.h"
#include "vmm/sys_util/page_size.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14
#endif
#ifndef MFD_HUGE_SHIFT
#define MFD_HUGE_SHIFT 26
#endif
#ifndef MAP_HUGE_SHIFT
#define MAP_HUGE_SHIFT 26
#endif

namespace vmm::vm_memory {
namespace {

using sys_util::Mapping;

unsigned huge_shift(HugePages pages) {
  switch (pages) {
    case HugePages::kNone:
      return 0;
    case HugePages::k2MiB:
      return 21;
    case HugePages::k1GiB:
      return 30;
  }
  return 0;
}

Result<void> check(const RegionConfig& config) {
  if (config.bytes == 0) return fail(RegionError::kZeroSize);
  if (!config.base.checked_add(config.bytes)) return fail(RegionError::kOverflow);
  const bool has_file = config.backing == Backing::kFile;
  const bool has_pointer = config.backing == Backing::kExternal;
  if (has_file != (config.fd >= 0) || has_pointer != (config.external != nullptr)) {
    return fail(has_pointer ? RegionError::kInvalidPointer : RegionError::kInvalidConfig);
  }
  if (!has_file && config.file_offset != 0) return fail(RegionError::kInvalidConfig);
  if (has_pointer &&
      reinterpret_cast<std::uintptr_t>(config.external) % sys_util::page_size() != 0) {
    return fail(RegionError::kInvalidPointer);
  }
  if (config.huge_pages != HugePages::kNone) {
    if (has_file || has_pointer) return fail(RegionError::kInvalidConfig);
    if (config.bytes % (std::uint64_t{1} << huge_shift(config.huge_pages)) != 0) {
      return fail(RegionError::kInvalidHugePage);
    }
  }
  if (config.dirty_tracking && !is_power_of_two(config.dirty_page_bytes)) {
    return fail(RegionError::kInvalidConfig);
  }
  return {};
}

/// A memfd of `bytes` bytes that can't shrink under our feet (which would be SIGBUS) nor grow.
Result<UniqueFd> make_memfd(std::uint64_t bytes, HugePages huge_pages) {
  unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  if (huge_pages != HugePages::kNone) {
    flags |= MFD_HUGETLB | huge_shift(huge_pages) << MFD_HUGE_SHIFT;
  }
  UniqueFd fd(::memfd_create("guest-memory", flags));
  if (!fd) return fail(Error::from_errno("memfd_create"));
  const std::optional<std::uint64_t> rounded = align_up(bytes, sys_util::page_size());
  const std::optional<off_t> length = rounded ? checked_cast<off_t>(*rounded) : std::nullopt;
  if (!length) return fail(Error::os(EINVAL, "ftruncate"));
  if (::ftruncate(fd.get(), *length) != 0) return fail(Error::from_errno("ftruncate"));
  if (::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return fail(Error::from_errno("F_ADD_SEALS"));
  }
  return fd;
}

// Huge pages are always reserved: running out of them later would be SIGBUS, not an error.
int mapping_flags(const RegionConfig& config) {
  const bool reserve = config.reserve || config.huge_pages != HugePages::kNone;
  const int lazy = reserve ? 0 : MAP_NORESERVE;
  if (config.backing == Backing::kAnonymous) {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | lazy;
    if (config.huge_pages != HugePages::kNone) {
      flags |= MAP_HUGETLB | static_cast<int>(huge_shift(config.huge_pages) << MAP_HUGE_SHIFT);
    }
    return flags;
  }
  const bool shared = config.backing == Backing::kMemfd || config.shared;
  return (shared ? MAP_SHARED : MAP_PRIVATE) | lazy;
}

struct Place {
  std::size_t alignment = 0;
  std::size_t phase = 0;
};

/// Where in our address space: as far from a boundary of large pages as the guest's address is.
/// Otherwise KVM maps the region by small pages only, whatever the host has put there.
Place place_of(const RegionConfig& config) {
  constexpr std::size_t kLargePage = std::size_t{1} << 21;
  if (config.huge_pages != HugePages::kNone || config.bytes < kLargePage) return {};
  const std::uint64_t phase = config.base.raw() % kLargePage;
  if (phase % sys_util::page_size() != 0) return {};
  return {kLargePage, static_cast<std::size_t>(phase)};
}

Result<void> advise(std::span<std::byte> host, int advice, const char* what) {
  if (::madvise(host.data(), host.size(), advice) != 0) return fail(Error::from_errno(what));
  return {};
}

/// MADV_POPULATE_WRITE reports what is missing; older kernels get a plain request instead.
Result<void> populate(std::span<std::byte> host) {
  if (::madvise(host.data(), host.size(), MADV_POPULATE_WRITE) == 0) return {};
  if (errno != EINVAL) return fail(Error::from_errno("MADV_POPULATE_WRITE"));
  const std::uint64_t page = sys_util::page_size();
  for (std::uint64_t at = 0; at < host.size(); at += page) {
    // An atomic "or" with 0 takes the page without changing what others may have written to it.
    auto* const byte = reinterpret_cast<unsigned char*>(host.data() + at);
    __atomic_fetch_or(byte, static_cast<unsigned char>(0), __ATOMIC_RELAXED);
  }
  return {};
}

Result<void> apply_policy(std::span<std::byte> host, const RegionConfig& config) {
  if (config.transparent_huge_pages == ThpAdvice::kAlways) {
    VMM_TRY_DO(advise(host, MADV_HUGEPAGE, "MADV_HUGEPAGE"));
  } else if (config.transparent_huge_pages == ThpAdvice::kNever) {
    VMM_TRY_DO(advise(host, MADV_NOHUGEPAGE, "MADV_NOHUGEPAGE"));
  }
  if (config.mergeable) VMM_TRY_DO(advise(host, MADV_MERGEABLE, "MADV_MERGEABLE"));
  if (!config.dump) VMM_TRY_DO(advise(host, MADV_DONTDUMP, "MADV_DONTDUMP"));
  if (config.prefault == Prefault::kPopulate) VMM_TRY_DO(populate(host));
  if (config.prefault == Prefault::kLock && ::mlock(host.data(), host.size()) != 0) {
    return fail(Error::from_errno("mlock"));
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<const Region>> Region::create(const RegionConfig& config) {
  VMM_TRY_DO(check(config));
  std::shared_ptr<Region> region(new Region);
  region->base_ = config.base;
  region->backing_ = config.backing;
  region->huge_pages_ = config.huge_pages;
  const std::size_t bytes = config.bytes;
  if (config.backing == Backing::kExternal) {
    region->host_ = {config.external, bytes};
  } else {
    UniqueFd fd;
    if (config.backing == Backing::kMemfd) {
      VMM_TRY(fd, make_memfd(bytes, config.huge_pages));
    } else if (config.backing == Backing::kFile) {
      VMM_TRY(fd, sys_util::duplicate(config.fd, "F_DUPFD_CLOEXEC"));
    }
    const Place place = place_of(config);
    VMM_TRY(region->mapping_, Mapping::create(bytes, {.protection = PROT_READ | PROT_WRITE,
                                                      .flags = mapping_flags(config),
                                                      .fd = fd.get(),
                                                      .offset = config.file_offset,
                                                      .alignment = place.alignment,
                                                      .phase = place.phase}));
    region->host_ = region->mapping_.bytes();
    if (config.backing == Backing::kMemfd || config.shared) region->fd_ = std::move(fd);
    region->file_offset_ = config.file_offset;
  }
  VMM_TRY_DO(apply_policy(region->host_, config));
  if (config.dirty_tracking) {
    region->dirty_ = std::make_unique<DirtyBitmap>(config.bytes, config.dirty_page_bytes);
  }
  return std::shared_ptr<const Region>(std::move(region));
}

std::optional<FileBacking> Region::file() const {
  if (!fd_) return std::nullopt;
  return FileBacking{fd_.get(), file_offset_};
}

bool files_overlap(const Region& a, const Region& b) {
  const std::optional<FileBacking> of_a = a.file();
  const std::optional<FileBacking> of_b = b.file();
  if (!of_a || !of_b) return false;
  struct stat stat_a = {};
  struct stat stat_b = {};
  if (::fstat(of_a->fd, &stat_a) != 0 || ::fstat(of_b->fd, &stat_b) != 0) return false;
  if (stat_a.st_dev != stat_b.st_dev || stat_a.st_ino != stat_b.st_ino) return false;
  return of_a->offset < of_b->offset ? of_b->offset - of_a->offset < a.bytes()
                                     : of_a->offset - of_b->offset < b.bytes();
}

}  // namespace vmm::vm_memory
