// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/aarch64/layout.h"

#include <algorithm>
#include <bit>

#include "vmm/base/checked.h"

namespace vmm::arch::aarch64 {

Result<RamRegions, ArchError> ram_regions(std::uint64_t bytes) {
  constexpr std::uint64_t kMinBytes = std::uint64_t{8} << 20;
  constexpr std::uint64_t kLowBytes = kLowRamEnd.raw() - kRamStart.raw();
  constexpr std::uint64_t kMaxBytes = kMaxAddress - kHighRam.raw() + kLowBytes;
  if (bytes < kMinBytes) return fail(ArchError::kNoMemory);
  if (bytes % kPageSize != 0) return fail(ArchError::kUnalignedMemory);
  if (bytes > kMaxBytes) return fail(ArchError::kTooMuchMemory);
  RamRegions regions;
  const std::uint64_t low = std::min(bytes, kLowBytes);
  regions.ranges_[0] = {kRamStart, low};
  regions.ranges_[1] = {kHighRam, bytes - low};
  regions.count_ = bytes > low ? 2 : 1;
  return regions;
}

Result<AddressRange, ArchError> pci_window64(const RamRegions& ram, std::uint64_t bytes) {
  return pci_window64(ram.top(), bytes);
}

Result<AddressRange, ArchError> pci_window64(GuestAddress behind, std::uint64_t bytes) {
  constexpr std::uint64_t kBoundary = std::uint64_t{4} << 30;
  const auto boundary = behind.align_up(kBoundary);
  if (bytes == 0 || !boundary) return fail(ArchError::kBadRange);
  const GuestAddress base = std::max(*boundary, kPciWindow64Start);
  const auto end = base.checked_add(bytes);
  if (!end || end->raw() > kMaxAddress) return fail(ArchError::kBadRange);
  return AddressRange{base, bytes};
}

std::uint32_t ipa_bits(GuestAddress end) {
  constexpr std::uint32_t kMinBits = 32;
  const std::uint64_t last = end.raw() == 0 ? 0 : end.raw() - 1;
  return std::max(kMinBits, static_cast<std::uint32_t>(std::bit_width(last)));
}

}  // namespace vmm::arch::aarch64
