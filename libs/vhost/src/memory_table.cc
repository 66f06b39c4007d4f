// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost/memory_table.h"

#include <cstddef>
#include <cstring>
#include <optional>

#include "uapi.h"

namespace vmm::vhost {
namespace {

using vm_memory::RegionSpan;

// The last address may be 2^64 - 1, so ends are inclusive. `before`: the end of the region below.
Result<GuestAddress, VhostError> check(const RegionSpan& region,
                                       std::optional<GuestAddress> before) {
  if (region.host.empty()) return fail(VhostError::kEmptyRegion);
  const auto last = region.base.checked_add(region.host.size() - 1);
  if (!last) return fail(VhostError::kRegionOverflow);
  if (before && region.base <= *before) return fail(VhostError::kUnsorted);
  return *last;
}

}  // namespace

Result<MemoryTable, VhostError> MemoryTable::create(std::span<const RegionSpan> regions) {
  static_assert(sizeof(vhost_memory) == kHeaderWords * sizeof(std::uint64_t));
  static_assert(offsetof(vhost_memory, nregions) == 0 && sizeof(vhost_memory::nregions) == 4);
  static_assert(sizeof(vhost_memory_region) == kRegionWords * sizeof(std::uint64_t));
  if (regions.empty()) return fail(VhostError::kNoRegions);
  if (regions.size() > kMaxRegions) return fail(VhostError::kTooManyRegions);
  MemoryTable table;
  table.words_.resize(kHeaderWords + kRegionWords * regions.size());
  const auto count = static_cast<std::uint32_t>(regions.size());  // and 32 bits of padding
  std::memcpy(table.words_.data(), &count, sizeof(count));
  std::uint64_t* to = table.words_.data() + kHeaderWords;
  std::optional<GuestAddress> last;
  for (const RegionSpan& region : regions) {
    VMM_TRY(last, check(region, last));
    const vhost_memory_region entry{
        .guest_phys_addr = region.base.raw(),
        .memory_size = region.host.size(),
        .userspace_addr = reinterpret_cast<std::uintptr_t>(region.host.data()),
        .flags_padding = 0};
    std::memcpy(to, &entry, sizeof(entry));
    to += kRegionWords;
  }
  return table;
}

}  // namespace vmm::vhost
