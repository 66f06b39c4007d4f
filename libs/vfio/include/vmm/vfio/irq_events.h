// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>

#include "vmm/base/result.h"
#include "vmm/sys_util/event_fd.h"
#include "vmm/vfio/device.h"

namespace vmm::vfio {

/// The descriptors of one interrupt of a device: one that the device signals; and for interrupts
/// that are masked when they come, as level-triggered ones are, one that unmasks it.
class IrqEvents {
 public:
  /// Errors: those of eventfd(2).
  static Result<IrqEvents> create(bool unmasked_later);

  /// Borrowed: signalled by the device.
  [[nodiscard]] int trigger_fd() const { return trigger_.fd(); }
  /// Borrowed: unmasks the interrupt; -1 for one that does not mask itself.
  [[nodiscard]] int unmask_fd() const { return unmask_ ? unmask_->fd() : -1; }

  /// Forgets what was signalled before.
  void clear() const;
  /// Connects them with the first interrupt of a kind; whoever hears them is there already.
  /// Errors: those of Device::set_irqs() and set_unmask_fd(); the device is silent then.
  Result<void> enable(const Device& device, std::uint32_t index) const;

 private:
  IrqEvents(sys_util::EventFd trigger, std::optional<sys_util::EventFd> unmask)
      : trigger_(std::move(trigger)), unmask_(std::move(unmask)) {}

  sys_util::EventFd trigger_;
  std::optional<sys_util::EventFd> unmask_;
};

}  // namespace vmm::vfio
