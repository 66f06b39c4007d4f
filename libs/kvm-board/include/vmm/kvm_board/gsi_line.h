// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/kvm_ioctls/irq.h"
#include "vmm/kvm_ioctls/vm.h"
#include "vmm/vm_device/irq.h"

namespace vmm::kvm_board {

/// aarch64: the line of a shared peripheral interrupt, from 0 (interrupt 32) to 987.
[[nodiscard]] constexpr kvm_ioctls::Gsi spi_line(std::uint32_t spi) {
  constexpr std::uint32_t kFirstSpi = 32;
  return kvm_ioctls::arm_gsi({.kind = kvm_ioctls::ArmIrqKind::kSpi,
                              .number = static_cast<std::uint16_t>(kFirstSpi + spi)});
}

/// A level of an interrupt controller inside KVM (KVM_IRQ_LINE). What KVM refuses is logged.
///
/// Threads: as vm_device::IrqLine.
class GsiLine final : public vm_device::IrqLine {
 public:
  /// Borrows `vm`, which must outlive this object. `gsi` is a pin of x86_64's controllers, or
  /// spi_line().
  GsiLine(const kvm_ioctls::Vm& vm, kvm_ioctls::Gsi gsi) : vm_(vm), gsi_(gsi) {}

  /// Sets the level. From any thread.
  void set(bool asserted) override;

 private:
  const kvm_ioctls::Vm& vm_;
  kvm_ioctls::Gsi gsi_;
};

}  // namespace vmm::kvm_board
