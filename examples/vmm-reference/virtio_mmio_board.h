// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>
#include <vector>

#include "device_set.h"
#include "failure.h"
#include "vmm/kvm_board/doorbells.h"
#include "vmm/virtio_mmio/mmio_transport.h"
#include "vmm/vm_device/bus.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::reference {

/// The virtio devices of a machine behind memory-mapped registers. Outlives the bus.
class VirtioMmioBoard {
 public:
  /// Borrows both, which outlive this object.
  VirtioMmioBoard(const kvm_ioctls::Vm& vm, const vm_memory::GuestMemory& memory)
      : doorbells_(vm), memory_(memory) {}

  /// Puts a device at `base` on `bus`.
  Outcome<void> add(const DeviceSlot& slot, GuestAddress base, vm_device::IrqLine& irq,
                    vm_device::MmioBus& bus);

 private:
  kvm_board::KvmDoorbells doorbells_;
  const vm_memory::GuestMemory& memory_;
  std::vector<std::unique_ptr<virtio_device::Workers>> workers_;
};

}  // namespace vmm::reference
