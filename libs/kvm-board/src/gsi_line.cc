// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/kvm_board/gsi_line.h"

#include "vmm/base/log.h"

namespace vmm::kvm_board {

void GsiLine::set(bool asserted) {
  if (const auto done = vm_.set_irq_line(gsi_, asserted); !done) {
    VMM_LOG_GUEST(kWarn, "interrupt not delivered: %s", to_string(done.error()).c_str());
  }
}

}  // namespace vmm::kvm_board
