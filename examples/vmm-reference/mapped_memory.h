// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>
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
    for (const auto& region : map->regions()) VMM_TRY_DO(mapped.add("guest memory", region));
    return mapped;
  }

  /// One region more.
  Outcome<void> add(const char* context, const std::shared_ptr<const vm_memory::Region>& region) {
    VMM_STEP(context, auto slot,
             slots_.add({.address = region->base(),
                         .host = region->host(),
                         .log_dirty_pages = false,
                         .read_only = false,
                         .private_memory = std::nullopt},
                        region));
    in_use_.push_back(std::move(slot));
    return {};
  }

 private:
  explicit MappedMemory(kvm_ioctls::MemorySlots slots) : slots_(std::move(slots)) {}

  kvm_ioctls::MemorySlots slots_;
  std::vector<kvm_ioctls::MemorySlot> in_use_;
};

}  // namespace vmm::reference
