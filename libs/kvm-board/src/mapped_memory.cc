// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/kvm_board/mapped_memory.h"

#include <optional>

namespace vmm::kvm_board {

Result<MappedMemory> MappedMemory::create(const kvm_ioctls::Vm& vm,
                                          const vm_memory::GuestMemory& memory) {
  VMM_TRY(kvm_ioctls::MemorySlots slots, vm.memory_slots());
  MappedMemory mapped(std::move(slots));
  const auto map = memory.snapshot();
  for (const auto& region : map->regions()) VMM_TRY_DO(mapped.add(region));
  return mapped;
}

Result<void> MappedMemory::add(const std::shared_ptr<const vm_memory::Region>& region) {
  VMM_TRY(auto slot, slots_.add({.address = region->base(),
                                 .host = region->host(),
                                 .log_dirty_pages = false,
                                 .read_only = false,
                                 .private_memory = std::nullopt},
                                region));
  in_use_.push_back(std::move(slot));
  return {};
}

Result<std::shared_ptr<const void>> MappedMemory::map(GuestAddress address,
                                                      std::span<std::byte> memory, bool writable) {
  VMM_TRY(auto slot, slots_.add({.address = address,
                                 .host = memory,
                                 .log_dirty_pages = false,
                                 .read_only = !writable,
                                 .private_memory = std::nullopt},
                                nullptr));
  return std::shared_ptr<const void>(
      std::make_shared<const kvm_ioctls::MemorySlot>(std::move(slot)));
}

void MappedMemory::remove(GuestAddress base) {
  std::erase_if(in_use_, [base](const auto& slot) { return slot.address() == base; });
}

}  // namespace vmm::kvm_board
