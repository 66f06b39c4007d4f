// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "device_set.h"
#include "failure.h"
#include "gsi_routes.h"
#include "kvm_doorbells.h"
#include "kvm_msi.h"
#include "vmm/pci/intx.h"
#include "vmm/pci/segment.h"
#include "vmm/vm_device/bus.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::reference {

/// The PCI segment of a machine and the virtio devices on it. Outlived by the buses, and to be
/// destroyed before them.
class PciBoard {
 public:
  struct Parts {
    const kvm_ioctls::Vm& vm;
    GsiRoutes& routes;
    const vm_memory::GuestMemory& memory;
    vm_device::MmioBus& mmio;
    vm_device::PioBus* ports = nullptr;  ///< with them come the ports of configuration space
    GuestAddress ecam;
    pci::Windows windows;
    std::vector<vm_device::IrqLine*> intx;  ///< outlive the board
    bool msi = true;
    /// The controller tells senders apart by their number on the bus (GICv3 ITS).
    bool msi_device_ids = false;
  };

  /// Makes the segment with its host bridge and puts configuration space on the buses.
  static Outcome<std::unique_ptr<PciBoard>> create(const Parts& parts);

  /// Puts the devices into their slots: those that name one, then the others, lowest first.
  Outcome<void> add(const std::vector<DeviceSlot>& devices);

 private:
  explicit PciBoard(const Parts& parts);
  Outcome<void> add(const DeviceSlot& device);

  const vm_memory::GuestMemory& memory_;
  const bool msi_;
  KvmDoorbells doorbells_;
  KvmMsiSource vectors_;
  pci::IntxLines intx_;
  std::vector<std::unique_ptr<virtio_device::Workers>> workers_;
  std::shared_ptr<pci::Segment> segment_;
};

}  // namespace vmm::reference
