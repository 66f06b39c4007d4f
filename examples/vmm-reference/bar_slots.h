// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>
#include <span>

#include "vmm/kvm_board/mapped_memory.h"
#include "vmm/vfio/region_memory.h"

namespace vmm::reference {

/// Memory of devices as memory slots of the VM.
class BarSlots final : public vfio::RegionMapper {
 public:
  /// `mapped` outlives this object.
  explicit BarSlots(kvm_board::MappedMemory& mapped) : mapped_(mapped) {}

  // The function keeps the memory as long as the slot.
  Result<std::shared_ptr<const void>> map(GuestAddress address, std::span<std::byte> memory,
                                          bool writable) override {
    return mapped_.map(address, memory, writable);
  }

 private:
  kvm_board::MappedMemory& mapped_;
};

}  // namespace vmm::reference
