// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/pci/config_space.h"

namespace vmm::pci {

/// The Express capability of a root port, and the state of the slot behind it: PCI Express base
/// 5.0, 6.7 and 7.5.3.
///
/// The slot has an attention button, a power controller and a power indicator. Its commands take no
/// time, and so no completion of them is told.
///
/// Threads: one at a time.
class ExpressSlot {
 public:
  /// Lays out the capability, with the slot empty and off. Errors: kNoCapabilityRoom.
  Result<void, PciError> lay_out(ConfigSpace& config);
  /// What guests call the slot; 13 bits of it.
  void set_number(ConfigSpace& config, std::uint16_t number);

  /// A device is there; `from_start`: before the guest runs, and it has power then.
  void fill(ConfigSpace& config, bool from_start);
  /// There is no device any more.
  void empty(ConfigSpace& config);
  /// Presses the button, unless that was done and the guest is at it. True: the slot is off, so
  /// that the device can be taken without asking.
  /// Precondition: the slot has a device.
  [[nodiscard]] bool ask(ConfigSpace& config);
  /// The guest has written to configuration space. True: it has given back what it was asked for.
  [[nodiscard]] bool after_write(ConfigSpace& config);

  /// Whether the guest reaches the device.
  [[nodiscard]] bool connects() const { return present_ && powered_; }
  /// Whether there is an event that the guest wants to be interrupted for.
  [[nodiscard]] bool interrupts(const ConfigSpace& config) const;

 private:
  [[nodiscard]] std::uint16_t control_at() const;
  [[nodiscard]] std::uint16_t status_at() const;
  void add_events(ConfigSpace& config, std::uint16_t events);
  void update_link(ConfigSpace& config);
  [[nodiscard]] bool blinks() const;
  void press(ConfigSpace& config);

  std::uint16_t at_ = 0;
  std::uint16_t control_ = 0;  // as it was after the last write
  bool present_ = false;
  bool powered_ = false;
  bool asked_ = false;    // and not given back yet
  bool waits_ = false;    // asked, but the button is not pressed yet
  bool pressed_ = false;  // and the guest has not written to the control register since
};

}  // namespace vmm::pci
