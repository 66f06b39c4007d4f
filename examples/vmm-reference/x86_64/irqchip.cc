// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "irqchip.h"

#include "vmm/base/log.h"

namespace vmm::reference::x86_64 {
namespace {

constexpr std::uint32_t kLevel = 1u << 15;  // of a message's data: level-sensitive

kvm_ioctls::MsiMessage to_kvm(const vm_device::MsiMessage& message) {
  return {.address = message.address, .data = message.data, .device_id = message.device_id};
}

}  // namespace

SplitIrqchip::SplitIrqchip(const kvm_ioctls::Vm& vm, GsiRoutes& routes)
    : vm_(vm),
      routes_(routes),
      ioapic_(std::make_shared<vm_superio::Ioapic>(
          static_cast<vm_device::MsiSender&>(*this),
          static_cast<vm_superio::IoapicRouteListener*>(this))) {}

// A message to an APIC that the guest never enabled is nobody's; it is not an error of ours.
void SplitIrqchip::send(const vm_device::MsiMessage& message) {
  if (const auto sent = vm_.signal_msi(to_kvm(message)); !sent) {
    VMM_LOG_GUEST(kDebug, "interrupt %#x not sent: %s", message.data,
                  to_string(sent.error()).c_str());
  }
}

void SplitIrqchip::route_changed(std::uint32_t pin,
                                 const std::optional<vm_device::MsiMessage>& message) {
  const MutexLock lock(mutex_);
  const bool level = message && (message->data & kLevel) != 0;
  if (!level && !routed_[pin]) return;  // an edge needs no route: replacing the table is expensive
  routed_[pin] = level;
  std::optional<kvm_ioctls::IrqRoute> route;
  if (level) route = kvm_ioctls::IrqRoute::to_msi(kvm_ioctls::Gsi{pin}, to_kvm(*message));
  if (const auto set = routes_.set(kvm_ioctls::Gsi{pin}, route); !set) {
    VMM_LOG_GUEST(kWarn, "interrupt routing: %s", to_string(set.error()).c_str());
  }
}

}  // namespace vmm::reference::x86_64
