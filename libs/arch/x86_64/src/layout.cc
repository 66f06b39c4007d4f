// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/x86_64/layout.h"

#include <algorithm>

namespace vmm::arch::x86_64 {

Result<RamRegions, ArchError> ram_regions(std::uint64_t bytes) {
  constexpr std::uint64_t kMinBytes = std::uint64_t{2} << 20;
  constexpr std::uint64_t kHoleBytes = kHighRamAbove4G.raw() - kLowRamEnd.raw();
  if (bytes < kMinBytes) return fail(ArchError::kNoMemory);
  if (bytes % kPageSize != 0) return fail(ArchError::kUnalignedMemory);
  if (bytes > kMaxAddress - kHoleBytes) return fail(ArchError::kTooMuchMemory);
  RamRegions regions;
  const std::uint64_t low = std::min(bytes, kLowRamEnd.raw());
  regions.ranges_[0] = {GuestAddress(0), low};
  regions.ranges_[1] = {kHighRamAbove4G, bytes - low};
  regions.count_ = bytes > low ? 2 : 1;
  return regions;
}

}  // namespace vmm::arch::x86_64
