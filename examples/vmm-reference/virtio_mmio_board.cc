// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "virtio_mmio_board.h"

namespace vmm::reference {

using virtio_mmio::MmioTransport;

Outcome<void> VirtioMmioBoard::add(const DeviceSlot& slot, GuestAddress base,
                                   vm_device::IrqLine& irq, vm_device::MmioBus& bus) {
  workers_.push_back(slot.workers());
  VMM_STEP(slot.id, auto transport,
           MmioTransport::create({.device = slot.device,
                                  .memory = memory_,
                                  .workers = *workers_.back(),
                                  .irq = irq,
                                  .doorbells = doorbells_,
                                  .base = base,
                                  .shared_memory = std::nullopt,
                                  .queue_features = slot.queue_features(),
                                  .lone_driver = true}));
  VMM_STEP_DO(slot.id, bus.add(base, MmioTransport::kSize, std::move(transport)));
  return {};
}

}  // namespace vmm::reference
