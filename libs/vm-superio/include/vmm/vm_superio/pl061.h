// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/vm_device/bus_device.h"
#include "vmm/vm_device/irq.h"
#include "vmm/vm_superio/state_error.h"

namespace vmm::vm_superio {

/// Everything of a Pl061, a bit for each line; plain data for snapshots.
struct Pl061State {
  std::uint8_t output = 0;   ///< what the guest wrote to GPIODATA while a line was an output
  std::uint8_t dir = 0;      ///< GPIODIR: 1 is an output
  std::uint8_t is = 0;       ///< GPIOIS: 1 detects levels, 0 edges
  std::uint8_t ibe = 0;      ///< GPIOIBE: both edges
  std::uint8_t iev = 0;      ///< GPIOIEV: rising edges or high levels
  std::uint8_t ie = 0;       ///< GPIOIE: the interrupt is not masked
  std::uint8_t afsel = 0;    ///< GPIOAFSEL, without an effect
  std::uint8_t latched = 0;  ///< edges seen and not cleared; never of a line in `is`
  std::uint8_t input = 0;    ///< the level that each line is driven to from outside

  friend bool operator==(const Pl061State&, const Pl061State&) = default;
};

/// An Arm PrimeCell PL061 GPIO controller (DDI 0190): eight lines, 4 KiB of MMIO.
///
/// A line is driven from outside by set_input() and seen by the guest while it is an input; edges
/// and levels of inputs raise the one combined interrupt, a level. Outputs lead nowhere.
///
/// A key on a line is a press and a release: Linux's gpio-keys looks at the line 5 ms after an
/// edge, so that a press must last longer (100 ms serves).
///
/// Threads: any, at once. The lock is held while the interrupt line is called.
class Pl061 final : public vm_device::BusDevice {
 public:
  static constexpr std::uint64_t kSize = 0x1000;  ///< bytes
  static constexpr std::uint32_t kLines = 8;      ///< GPIO lines, from 0

  /// Borrows the interrupt line, which must outlive this object.
  explicit Pl061(vm_device::IrqLine& irq) : irq_(irq) {}

  void read(std::uint64_t offset, std::span<std::byte> data) override VMM_EXCLUDES(mutex_);
  void write(std::uint64_t offset, std::span<const std::byte> data) override VMM_EXCLUDES(mutex_);

  /// Drives a line, below kLines; others do not exist, and nothing happens.
  void set_input(std::uint32_t line, bool high) VMM_EXCLUDES(mutex_);

  /// For a snapshot.
  [[nodiscard]] Pl061State state() const VMM_EXCLUDES(mutex_);
  /// Replaces the state and drives the interrupt line to match.
  ///
  /// Errors, without a change: kInconsistent.
  Result<void, StateError> restore(const Pl061State& state) VMM_EXCLUDES(mutex_);

 private:
  [[nodiscard]] std::uint32_t read_register(std::uint64_t offset) const VMM_REQUIRES(mutex_);
  void write_register(std::uint64_t offset, std::uint32_t value) VMM_REQUIRES(mutex_);
  [[nodiscard]] std::uint8_t raw_interrupts() const VMM_REQUIRES(mutex_);
  void update_irq() VMM_REQUIRES(mutex_);

  vm_device::IrqLine& irq_;
  mutable Mutex mutex_;
  Pl061State regs_ VMM_GUARDED_BY(mutex_);
  bool asserted_ VMM_GUARDED_BY(mutex_) = false;
};

}  // namespace vmm::vm_superio
