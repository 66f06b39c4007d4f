// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/result.h"
#include "vmm/vm_memory/region.h"

namespace vmm::vm_memory {

/// A part of a region, in bytes from the region's start.
struct RegionPart {
  ///@{
  /// Bytes.
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  ///@}

  friend bool operator==(const RegionPart&, const RegionPart&) = default;
};

/// The pages in which the host can take memory of this region back: its huge pages, or the host's
/// normal ones. Bytes, a power of two.
[[nodiscard]] std::uint64_t discard_granule(const Region& region);

/// Gives the host memory behind a part of a region back to the host. The guest may go on using
/// these addresses: they read as zeros until they are written. Marks the part as dirty.
///
/// Whatever is pinned (VFIO, registered buffers of io_uring) keeps the old pages, which the guest
/// does not see any more: not for memory that is in use in such a way.
/// Errors: EINVAL unless the part lies in the region and begins and ends at multiples of
/// discard_granule(); EOPNOTSUPP for kFile and kExternal, whose contents belong to somebody else;
/// the errno of madvise(2) or fallocate(2).
///
/// Thread-safety: any thread, while the guest runs.
Result<void> discard(const Region& region, const RegionPart& part);

/// Takes the file away from behind a kFile region that has left the guest's memory. Who still holds
/// the region, in this process or in the kernel for it, finds zeros at its addresses, and what is
/// written there goes nowhere. It takes memory of the host up to the region's size until the last
/// one has let go. Transfers that the kernel has begun end in the file.
/// Errors: EOPNOTSUPP for other regions; the errno of mmap(2), where the file is still there.
///
/// Thread-safety: any thread, while others access the region.
Result<void> cut_off(const Region& region);

}  // namespace vmm::vm_memory
