// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>

#include "irqfd_lines.h"
#include "vmm/vfio_pci/host.h"

namespace vmm::reference::aarch64 {

/// Interrupt pins of the host's PCI devices on the lines of the PCI hosts.
class IrqfdPins final : public vfio_pci::PinRouter {
 public:
  /// Shared peripheral interrupts [first, first + count), to which slot and pin are distributed as
  /// pci::IntxLines does.
  struct Lines {
    std::uint32_t first = 0;
    std::uint32_t count = 1;
  };

  /// Borrows `router`, which outlives this object.
  IrqfdPins(IrqfdLines& router, Lines lines) : router_(router), lines_(lines) {}

  Result<std::shared_ptr<const void>> connect(const vfio_pci::PinWiring& wiring) override {
    return router_.connect({.line = lines_.first + (wiring.slot + wiring.pin) % lines_.count,
                            .trigger = wiring.trigger,
                            .unmask = wiring.unmask});
  }

 private:
  IrqfdLines& router_;
  const Lines lines_;
};

}  // namespace vmm::reference::aarch64
