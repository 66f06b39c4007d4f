// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>

#include "vmm/base/result.h"
#include "vmm/kvm_ioctls/irq.h"
#include "vmm/kvm_ioctls/vm.h"

namespace vmm::kvm_board {

/// Descriptors that stand for an interrupt of the guest; borrowed.
struct Irqfd {
  int trigger = -1;  ///< an eventfd whose events raise the interrupt
  /// For a level, which stays until the guest's end of interrupt: that deasserts it and signals
  /// this eventfd. -1: an edge.
  int resample = -1;
};

/// Connects them inside KVM, for as long as the result lives. `gsi` is an index into the VM's
/// routing table, which on aarch64 has SPIs from 0 unless the program has set another one. `vm`
/// outlives the result. Errors: those of KVM_IRQFD.
[[nodiscard]] Result<std::shared_ptr<const void>> connect_irqfd(const kvm_ioctls::Vm& vm,
                                                                const Irqfd& irqfd,
                                                                kvm_ioctls::Gsi gsi);

}  // namespace vmm::kvm_board
