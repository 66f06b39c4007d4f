// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/detail/ram.h"

#include <algorithm>
#include <functional>
#include <utility>

namespace vmm::virtio_queue::detail {

using vm_memory::RegionSpan;

Ram::Ram(std::shared_ptr<const vm_memory::RegionMap> map)
    : map_(std::move(map)), view_(map_->view()) {
  const auto regions = view_.regions();
  tracked_ = std::any_of(regions.begin(), regions.end(),
                         [](const RegionSpan& region) { return region.dirty != nullptr; });
}

void Ram::mark_slowly(const void* host, std::size_t bytes) const {
  if (bytes == 0) return;
  const auto at = reinterpret_cast<std::uintptr_t>(host);
  for (const RegionSpan& region : view_.regions()) {
    const std::uintptr_t offset = at - reinterpret_cast<std::uintptr_t>(region.host.data());
    if (offset >= region.host.size()) continue;
    if (region.dirty != nullptr) region.dirty->mark(offset, bytes);
    return;
  }
}

bool Window::move_to(const vm_memory::MemoryView& memory, std::uint64_t address) {
  const RegionSpan* const region = memory.find_region(GuestAddress(address));
  if (region == nullptr) return false;
  base = region->base.raw();
  bytes = region->host.size();
  inside = bytes > kUsualBytes ? bytes - kUsualBytes : 0;
  host = region->host.data();
  return true;
}

}  // namespace vmm::virtio_queue::detail
