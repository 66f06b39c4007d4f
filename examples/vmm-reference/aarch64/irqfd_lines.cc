// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "irqfd_lines.h"

#include "vmm/kvm_board/irqfd.h"

namespace vmm::reference::aarch64 {

Result<std::shared_ptr<const void>> IrqfdLines::connect(const vfio_platform::LineWiring& wiring) {
  const kvm_ioctls::Gsi gsi{wiring.line};
  // The kernel's own table is gone with the first message-signalled interrupt.
  VMM_TRY_DO(routes_.set(gsi, kvm_ioctls::IrqRoute::to_chip(gsi, {.chip = 0, .pin = wiring.line})));
  return kvm_board::connect_irqfd(vm_, {.trigger = wiring.trigger, .resample = wiring.unmask}, gsi);
}

}  // namespace vmm::reference::aarch64
