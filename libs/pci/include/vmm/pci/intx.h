// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "vmm/vm_device/irq.h"

namespace vmm::pci {

/// The interrupt lines that the pins of all slots share: INTA of slot 0 is on the first line, and
/// each next slot or pin one line further, round and round. That is the mapping that ACPI's _PRT
/// and a device tree's interrupt-map describe.
///
/// Threads: any.
class IntxLines {
 public:
  /// Precondition: `lines` is not empty; they outlive this object and all inputs.
  explicit IntxLines(std::vector<vm_device::IrqLine*> lines);

  /// A pin of a slot.
  struct Pin {
    std::uint8_t slot = 0;  ///< 0 to 31
    std::uint8_t pin = 0;   ///< 0: INTA to 3: INTD
  };
  /// Which of the lines, from 0.
  [[nodiscard]] std::size_t line_of(Pin pin) const { return (pin.slot + pin.pin) % lines_.size(); }
  /// An input of the line of a pin. The line is asserted while any of its inputs is; an input that
  /// dies is deasserted.
  [[nodiscard]] std::shared_ptr<vm_device::IrqLine> input(Pin pin);

 private:
  class Shared;
  class Input;

  std::vector<std::shared_ptr<Shared>> lines_;
};

}  // namespace vmm::pci
