// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "vmm/event_manager/event_loop.h"
#include "vmm/vfio_pci/host.h"
#include "vmm/vm_superio/ioapic.h"

namespace vmm::reference::x86_64 {

/// Interrupt pins of the host's devices on lines of the I/O APIC, which is in this process: the
/// control loop hears the devices, the I/O APIC hears the guest's end of interrupt.
class IoapicPins final : public vfio_pci::PinRouter {
 public:
  /// The lines [first, first + count) of `ioapic`, to which slot and pin are distributed as
  /// pci::IntxLines does. Borrows both, which outlive this object; the guest does not run yet.
  IoapicPins(event_manager::EventLoop& loop, vm_superio::Ioapic& ioapic, std::size_t first,
             std::size_t count);
  /// The guest does not run any more.
  ~IoapicPins() override;

  Result<std::shared_ptr<const void>> connect(const vfio_pci::PinWiring& wiring) override;

 private:
  class Coming;
  class Connection;
  class Line;

  event_manager::EventLoop& loop_;
  const std::shared_ptr<Coming> coming_;
  std::vector<std::shared_ptr<Line>> lines_;
};

}  // namespace vmm::reference::x86_64
