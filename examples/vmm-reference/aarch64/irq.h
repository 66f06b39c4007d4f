// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "vmm/arch/aarch64/layout.h"
#include "vmm/base/log.h"
#include "vmm/kvm_ioctls/vm.h"
#include "vmm/vm_device/irq.h"

namespace vmm::reference::aarch64 {

/// A shared peripheral interrupt of KVM's GIC, as a level.
class SpiLine final : public vm_device::IrqLine {
 public:
  /// Borrows `vm`, which must outlive this object.
  SpiLine(const kvm_ioctls::Vm& vm, std::uint32_t spi)
      : vm_(vm),
        gsi_(kvm_ioctls::arm_gsi(
            {.kind = kvm_ioctls::ArmIrqKind::kSpi,
             .number = static_cast<std::uint16_t>(arch::aarch64::kFirstSpi + spi)})) {}

  void set(bool asserted) override {
    if (const auto done = vm_.set_irq_line(gsi_, asserted); !done) {
      VMM_LOG_GUEST(kWarn, "interrupt not delivered: %s", to_string(done.error()).c_str());
    }
  }

 private:
  const kvm_ioctls::Vm& vm_;
  kvm_ioctls::Gsi gsi_;
};

}  // namespace vmm::reference::aarch64
