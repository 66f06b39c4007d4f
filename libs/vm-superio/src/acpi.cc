// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_superio/acpi.h"

#include <algorithm>

namespace vmm::vm_superio {

void AcpiShutdown::read(std::uint64_t /*offset*/, std::span<std::byte> data) {
  std::ranges::fill(data, std::byte{0});
}

void AcpiShutdown::write(std::uint64_t offset, std::span<const std::byte> data) {
  if (offset != 0 || data.empty()) return;
  switch (std::to_integer<std::uint8_t>(data[0])) {
    case kResetValue:
      if (callbacks_.on_reset) callbacks_.on_reset();
      break;
    case kPowerOffValue:
      if (callbacks_.on_power_off) callbacks_.on_power_off();
      break;
    default:
      break;
  }
}

void GedStatus::notify(GedEvent event) {
  pending_.fetch_or(static_cast<std::uint8_t>(event), std::memory_order_release);
  irq_.trigger();
}

void GedStatus::read(std::uint64_t offset, std::span<std::byte> data) {
  std::ranges::fill(data, std::byte{0});
  if (offset != 0 || data.empty()) return;
  data[0] = std::byte{pending_.exchange(0, std::memory_order_acquire)};
}

void GedStatus::write(std::uint64_t /*offset*/, std::span<const std::byte> /*data*/) {}

void GedStatus::restore(std::uint8_t pending) {
  pending &= 0x0f;
  pending_.store(pending, std::memory_order_release);
  if (pending != 0) irq_.trigger();
}

}  // namespace vmm::vm_superio
