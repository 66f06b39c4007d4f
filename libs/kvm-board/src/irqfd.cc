// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/kvm_board/irqfd.h"

#include <utility>

namespace vmm::kvm_board {

Result<std::shared_ptr<const void>> connect_irqfd(const kvm_ioctls::Vm& vm, const Irqfd& irqfd,
                                                  kvm_ioctls::Gsi gsi) {
  if (irqfd.resample < 0) {
    VMM_TRY_DO(vm.register_irqfd(irqfd.trigger, gsi));
  } else {
    VMM_TRY_DO(vm.register_irqfd_with_resample(
        {.trigger = irqfd.trigger, .resample = irqfd.resample}, gsi));
  }
  auto end = [&vm, gsi, trigger = irqfd.trigger](const void*) {
    (void)vm.unregister_irqfd(trigger, gsi);
  };
  return std::shared_ptr<const void>(&vm, std::move(end));
}

}  // namespace vmm::kvm_board
