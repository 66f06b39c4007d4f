// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <vector>

#include "failure.h"
#include "vmm/kvm_ioctls/vm.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::reference {

/// Guest memory as a VM's memory slots; unmapped with this object.
class MappedMemory {
 public:
  static Outcome<MappedMemory> create(const kvm_ioctls::Vm& vm,
                                      const vm_memory::GuestMemory& memory) {
    VMM_STEP("VM", kvm_ioctls::MemorySlots slots, vm.memory_slots());
    MappedMemory mapped(std::move(slots));
    const auto map = memory.snapshot();
    for (const auto& region : map->regions()) {
      VMM_STEP("guest memory", auto slot,
               mapped.slots_.add({.address = region->base(),
                                  .host = region->host(),
                                  .log_dirty_pages = false,
                                  .read_only = false,
                                  .private_memory = std::nullopt},
                                 region));
      mapped.in_use_.push_back(std::move(slot));
    }
    return mapped;
  }

 private:
  explicit MappedMemory(kvm_ioctls::MemorySlots slots) : slots_(std::move(slots)) {}

  kvm_ioctls::MemorySlots slots_;
  std::vector<kvm_ioctls::MemorySlot> in_use_;
};

}  // namespace vmm::reference
