// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio/region_memory.h"

#include <cerrno>
#include <utility>

namespace vmm::vfio {

Result<RegionMemory> RegionMemory::map(const Device& device, std::uint32_t region,
                                       std::span<const RegionArea> areas) {
  RegionMemory made;
  const RegionInfo& info = device.region(region);
  if (!info.readable) return made;
  made.writable_ = info.writable;
  for (const RegionArea& area : areas) {
    VMM_TRY(auto memory, device.map(region, area));
    made.areas_.push_back({.offset = area.offset,
                           .memory = std::make_shared<sys_util::Mapping>(std::move(memory)),
                           .shown = nullptr,
                           .shared = {}});
  }
  return made;
}

Result<void> RegionMemory::show(RegionMapper& mapper, GuestAddress base) {
  for (Area& area : areas_) area.shown.reset();
  Result<void> first;
  for (Area& area : areas_) {
    const auto address = base.checked_add(area.offset);
    if (!address) return fail(Error::os(EOVERFLOW, "memory of a device"));
    auto shown = mapper.map(*address, area.memory->bytes(), writable_);
    if (shown) {
      area.shown = std::move(*shown);
    } else if (first) {
      first = fail(std::move(shown).error());
    }
  }
  return first;
}

Result<void> RegionMemory::share(AddressSpace& space, GuestAddress base) {
  for (Area& area : areas_) area.shared = {};
  Result<void> first;
  for (Area& area : areas_) {
    const auto address = base.checked_add(area.offset);
    if (!address) return fail(Error::os(EOVERFLOW, "memory of a device"));
    auto shared = space.map({.iova = address->raw(),
                             .memory = area.memory->bytes(),
                             .owner = area.memory,
                             .device_writes = writable_});
    if (shared) {
      area.shared = std::move(*shared);
    } else if (first) {
      first = fail(std::move(shared).error());
    }
  }
  return first;
}

void RegionMemory::hide() {
  for (Area& area : areas_) {
    area.shared = {};
    area.shown.reset();
  }
}

}  // namespace vmm::vfio
