// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <utility>

#include "vmm/vm_device/bus_device.h"
#include "vmm/vm_device/irq.h"

namespace vmm::vm_superio {

/// The register that hardware-reduced ACPI points its reset, sleep control and sleep status fields
/// at: one byte, port 0x600.
///
/// Writing 1 resets; writing 0x34 (sleep enable, sleep type 5) powers off; everything else is
/// ignored. It reads 0. Spec: ACPI 6.5, 4.8.3.6 (reset) and 4.8.3.7 (sleep control).
///
/// Threads: any, at once; the callbacks may be called from several at once.
class AcpiShutdown final : public vm_device::BusDevice {
 public:
  static constexpr std::uint64_t kSize = 1;             ///< bytes
  static constexpr std::uint8_t kResetValue = 0x01;     ///< for the FADT
  static constexpr std::uint8_t kSleepTypeS5 = 5;       ///< for \_S5_
  static constexpr std::uint8_t kPowerOffValue = 0x34;  ///< SLP_EN, SLP_TYP 5

  /// What the guest can ask for; an empty function: nothing happens.
  struct Callbacks {
    std::function<void()> on_reset;      ///< kResetValue was written
    std::function<void()> on_power_off;  ///< kPowerOffValue was written
  };
  /// The callbacks run on the vCPU thread and must not block.
  explicit AcpiShutdown(Callbacks callbacks) : callbacks_(std::move(callbacks)) {}

  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;

 private:
  Callbacks callbacks_;
};

/// What a generic event device (ACPI0013) has to tell; bits of its status register.
enum class GedEvent : std::uint8_t {
  kCpu = 1 << 0,          ///< processors were plugged or unplugged
  kMemory = 1 << 1,       ///< memory was plugged or unplugged
  kPci = 1 << 2,          ///< PCI functions were plugged or unplugged
  kPowerButton = 1 << 3,  ///< the power button was pressed
};

/// The one-byte status register behind a generic event device. The guest's handler reads it; a read
/// takes the pending events away. Writes are ignored.
///
/// Threads: any, at once.
class GedStatus final : public vm_device::BusDevice {
 public:
  static constexpr std::uint64_t kSize = 1;  ///< bytes

  /// Borrows `irq`, which must outlive this object: an edge-sensitive input.
  explicit GedStatus(vm_device::IrqTrigger& irq) : irq_(irq) {}

  /// Adds `event` to the status and interrupts the guest.
  void notify(GedEvent event);

  void read(std::uint64_t offset, std::span<std::byte> data) override;
  void write(std::uint64_t offset, std::span<const std::byte> data) override;

  /// The events the guest has not read yet, as bits.
  [[nodiscard]] std::uint8_t state() const { return pending_.load(std::memory_order_relaxed); }
  /// Replaces the pending events and interrupts the guest if there are any. Unknown bits are
  /// dropped.
  void restore(std::uint8_t pending);

 private:
  vm_device::IrqTrigger& irq_;
  std::atomic<std::uint8_t> pending_{0};
};

}  // namespace vmm::vm_superio
