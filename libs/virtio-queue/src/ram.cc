// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/detail/ram.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace vmm::virtio_queue::detail {

using vm_memory::Access;
using vm_memory::DirtyWindow;
using vm_memory::GuestSlice;
using vm_memory::RegionSpan;

Ram::Ram(std::shared_ptr<const vm_memory::RegionMap> map)
    : map_(std::move(map)),
      physical_(translated() ? map_->translation()->physical : map_),
      view_(translated() ? vm_memory::MemoryView() : map_->view()) {
  const auto regions = physical_->view().regions();
  tracked_ = std::any_of(regions.begin(), regions.end(),
                         [](const RegionSpan& region) { return region.dirty != nullptr; });
}

DirtyWindow Ram::dirty_at(const void* host) const {
  const auto at = reinterpret_cast<std::uintptr_t>(host);
  for (const RegionSpan& region : physical_->view().regions()) {
    const std::uintptr_t offset = at - reinterpret_cast<std::uintptr_t>(region.host.data());
    if (offset < region.host.size()) return {region.dirty, offset};
  }
  return {};
}

void Ram::mark_slowly(const void* host, std::size_t bytes) const {
  if (bytes != 0) dirty_at(host).mark(0, bytes);
}

Result<GuestSlice, QueueError> Ram::translate(std::uint64_t address, std::uint64_t bytes,
                                              Access access) const {
  const vm_memory::Translation& translation = *map_->translation();
  const vm_memory::MemoryView io = map_->view();
  if (!GuestAddress(address).checked_add(bytes - 1)) return fail(QueueError::kBadMemory);
  const RegionSpan* const region = io.find_region(GuestAddress(address));
  if (region == nullptr) {
    translation.faults->missing(Iova(address), bytes, access);
    return fail(translation.complete ? QueueError::kBadMemory : QueueError::kMissing);
  }
  const std::uint64_t offset = address - region->base.raw();
  const std::uint64_t length = std::min<std::uint64_t>(bytes, region->host.size() - offset);
  const auto index = static_cast<std::size_t>(region - io.regions().data());
  if (!permits(translation.access[index], access)) {
    translation.faults->denied(Iova(address), length, access);
    return fail(QueueError::kBadMemory);
  }
  const auto host = region->host.subspan(offset, length);
  return GuestSlice(host, tracked_ ? dirty_at(host.data()) : DirtyWindow());
}

Result<GuestSlice, QueueError> Ram::slice(std::uint64_t address, std::uint64_t bytes,
                                          Access access) const {
  if (!translated()) {
    const auto slice = view_.slice(GuestAddress(address), bytes);
    if (!slice) return fail(QueueError::kBadMemory);
    return *slice;
  }
  VMM_TRY(const GuestSlice first, translate(address, bytes, access));
  if (first.size() == bytes) return first;
  // The rest may be missing; when it is there, it is elsewhere.
  VMM_TRY_DO(translate(address + first.size(), bytes - first.size(), access));
  return fail(QueueError::kBadMemory);
}

bool Window::move_to(const vm_memory::MemoryView& memory, std::uint64_t address) {
  const RegionSpan* const region = memory.find_region(GuestAddress(address));
  if (region == nullptr) return false;
  base = region->base.raw();
  bytes = region->host.size();
  usual = std::min(kUsualBytes, bytes / 2);
  inside = bytes - usual;
  host = region->host.data();
  return true;
}

}  // namespace vmm::virtio_queue::detail
