// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "vmm/base/guest_address.h"
#include "vmm/base/result.h"
#include "vmm/kvm_ioctls/memory.h"
#include "vmm/kvm_ioctls/vm.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::kvm_board {

/// Guest memory as a VM's memory slots, for as long as this object lives.
///
/// Threads: one at a time.
class MappedMemory {
 public:
  /// All regions that `memory` has now; the slots keep them mapped.
  /// Errors: those of Vm::memory_slots() and MemorySlots::add().
  static Result<MappedMemory> create(const kvm_ioctls::Vm& vm,
                                     const vm_memory::GuestMemory& memory);

  /// One region more. Errors: those of MemorySlots::add().
  Result<void> add(const std::shared_ptr<const vm_memory::Region>& region);
  /// Takes away the region that begins at `base`: when it returns, no vCPU reaches it any more.
  void remove(GuestAddress base);

  /// Memory that is no region, such as registers of a device of the host: at `address` for as long
  /// as the result lives, when whose destructor returns no vCPU reaches it any more. `memory`, of
  /// whole pages, outlives the result. Errors: those of MemorySlots::add(). From any thread.
  Result<std::shared_ptr<const void>> map(GuestAddress address, std::span<std::byte> memory,
                                          bool writable);

  /// For what is not memory of the VM, such as registers of devices of the host.
  [[nodiscard]] kvm_ioctls::MemorySlots& slots() { return slots_; }

 private:
  explicit MappedMemory(kvm_ioctls::MemorySlots slots) : slots_(std::move(slots)) {}

  kvm_ioctls::MemorySlots slots_;
  std::vector<kvm_ioctls::MemorySlot> in_use_;
};

}  // namespace vmm::kvm_board
