// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <memory>
#include <optional>

#include "../gsi_routes.h"
#include "vmm/base/mutex.h"
#include "vmm/kvm_ioctls/vm.h"
#include "vmm/vm_superio/ioapic.h"

namespace vmm::reference::x86_64 {

/// The user-space half of KVM's split irqchip: an I/O APIC that sends messages to the local APICs,
/// which are in the kernel.
///
/// Pins are edge-sensitive unless the guest makes them level-sensitive; for those the kernel has to
/// know which vectors to report the EOI of, by a routing table that follows the I/O APIC's.
///
/// Threads: any, as Ioapic. Lock order: the Ioapic's lock, then this one's.
class SplitIrqchip final : private vm_device::MsiSender, private vm_superio::IoapicRouteListener {
 public:
  /// Borrows both, which must outlive it.
  SplitIrqchip(const kvm_ioctls::Vm& vm, GsiRoutes& routes);

  [[nodiscard]] const std::shared_ptr<vm_superio::Ioapic>& ioapic() const { return ioapic_; }

 private:
  void send(const vm_device::MsiMessage& message) override;
  void route_changed(std::uint32_t pin,
                     const std::optional<vm_device::MsiMessage>& message) override;

  const kvm_ioctls::Vm& vm_;
  GsiRoutes& routes_;
  Mutex mutex_;
  std::array<bool, vm_superio::Ioapic::kPins> routed_ VMM_GUARDED_BY(mutex_){};
  std::shared_ptr<vm_superio::Ioapic> ioapic_;
};

/// An edge-sensitive pin of the I/O APIC: each event is one rising edge.
class PulsedPin final : public vm_device::IrqTrigger {
 public:
  /// Borrows `line`, which must outlive this object.
  explicit PulsedPin(vm_device::IrqLine& line) : line_(line) {}

  void trigger() override {
    line_.set(true);
    line_.set(false);
  }

 private:
  vm_device::IrqLine& line_;
};

}  // namespace vmm::reference::x86_64
