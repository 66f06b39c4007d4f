// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "pci_board.h"

#include <utility>

#include "vmm/pci/config_access.h"
#include "vmm/pci/function.h"
#include "vmm/virtio_pci/pci_transport.h"

namespace vmm::reference {

using vm_device::PioAddress;

PciBoard::PciBoard(const Parts& parts)
    : memory_(parts.memory),
      msi_(parts.msi),
      doorbells_(parts.vm),
      vectors_(parts.vm, parts.routes),
      intx_(parts.intx) {}

Outcome<std::unique_ptr<PciBoard>> PciBoard::create(const Parts& parts) {
  std::unique_ptr<PciBoard> board(new PciBoard(parts));
  VMM_STEP("PCI", board->segment_,
           pci::Segment::create(
               {.number = 0,
                .buses = {.mmio = parts.mmio, .ports = parts.ports},
                .windows = parts.windows,
                .intx = &board->intx_,
                .msi_device_base = parts.msi_device_ids ? std::optional(0u) : std::nullopt}));
  VMM_STEP_DO("PCI host bridge",
              board->segment_->add(pci::make_host_bridge(), {.slot = std::uint8_t{0}}));
  VMM_STEP_DO("PCI configuration space",
              parts.mmio.add(parts.ecam, pci::Segment::kEcamBytes,
                             std::make_shared<pci::Ecam>(board->segment_)));
  if (parts.ports != nullptr) {
    VMM_STEP_DO("PCI configuration ports",
                parts.ports->add(PioAddress(pci::ConfigPorts::kBase), pci::ConfigPorts::kSize,
                                 std::make_shared<pci::ConfigPorts>(board->segment_)));
  }
  return board;
}

Outcome<void> PciBoard::add(const std::vector<DeviceSlot>& devices) {
  for (const DeviceSlot& device : devices) {
    if (!device.config.pci_device) continue;
    VMM_STEP_DO(device.id + ": pci_device_id", segment_->reserve(*device.config.pci_device));
  }
  for (const DeviceSlot& device : devices) VMM_TRY_DO(add(device));
  return {};
}

Outcome<void> PciBoard::add(const DeviceSlot& device) {
  workers_.push_back(device.workers());
  VMM_STEP(device.id, auto transport,
           virtio_pci::PciTransport::create({.device = device.device,
                                             .memory = memory_,
                                             .workers = *workers_.back(),
                                             .doorbells = doorbells_,
                                             .vectors = msi_ ? &vectors_ : nullptr,
                                             .queue_features = device.queue_features()}));
  VMM_STEP_DO(device.id, segment_->add(std::move(transport), {.slot = device.config.pci_device}));
  return {};
}

}  // namespace vmm::reference
