// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/detail/ram.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "find_host.h"
#include "pieces.h"

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
  host = region->host.data();
  return true;
}

[[gnu::noinline, gnu::cold]] std::byte* find_elsewhere(const Ram& ram, Window& window,
                                                       std::uint64_t address,
                                                       std::uint32_t length) {
  if (!window.move_to(ram.view(), address)) return nullptr;
  return window.find(address, length);
}

[[gnu::noinline, gnu::cold]] bool Pieces::find_window(const Ram& ram, Window* window,
                                                      std::uint64_t address, std::uint32_t length) {
  return window->move_to(ram.view(), address) && window->find(address, length) != nullptr;
}

}  // namespace vmm::virtio_queue::detail
