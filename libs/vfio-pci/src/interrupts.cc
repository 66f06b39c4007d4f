// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "interrupts.h"

#include "vmm/base/log.h"

namespace vmm::vfio_pci::detail {

using vfio::PciIrq;

Result<void> Interrupts::set_pin(PinRouter& router) {
  VMM_TRY(events_, vfio::IrqEvents::create(true));
  router_ = &router;
  return {};
}

void Interrupts::use(PciIrq kind, std::span<const std::int32_t> fds) {
  if (is_on(kind, fds.size())) return;
  off();
  if (fds.empty()) return;
  if (const auto set = device_.set_irqs(static_cast<std::uint32_t>(kind), 0, fds); !set) {
    VMM_LOG_GUEST(kWarn, "%s of a device of the host: %s", kind == PciIrq::kMsi ? "MSI" : "MSI-X",
                  to_string(set.error()).c_str());
    return;
  }
  kind_ = kind;
  count_ = fds.size();
}

void Interrupts::use_pin() {
  if (is_on(PciIrq::kIntx, 1)) return;
  off();
  if (router_ == nullptr || !pin_) return;
  if (const auto connected = connect_pin(); !connected) {
    VMM_LOG_GUEST(kWarn, "interrupt pin of a device of the host: %s",
                  to_string(connected.error()).c_str());
    off();
  }
}

// The guest's side first, so that the device's first event has somewhere to go.
Result<void> Interrupts::connect_pin() {
  constexpr auto kIntx = static_cast<std::uint32_t>(PciIrq::kIntx);
  events_->clear();
  PinWiring wiring = *pin_;
  wiring.trigger = events_->trigger_fd();
  wiring.unmask = events_->unmask_fd();
  VMM_TRY(connected_, router_->connect(wiring));
  VMM_TRY_DO(events_->enable(device_, kIntx));
  kind_ = PciIrq::kIntx;
  count_ = 1;
  return {};
}

void Interrupts::off() {
  if (kind_) {
    if (const auto done = device_.disable_irqs(static_cast<std::uint32_t>(*kind_)); !done) {
      VMM_LOG_GUEST(kWarn, "interrupts of a device of the host: %s",
                    to_string(done.error()).c_str());
    }
  }
  kind_.reset();
  count_ = 0;
  connected_.reset();
}

}  // namespace vmm::vfio_pci::detail
