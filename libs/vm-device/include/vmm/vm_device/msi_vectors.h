// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "vmm/base/result.h"
#include "vmm/vm_device/irq.h"

namespace vmm::vm_device {

/// The message-signalled interrupts of one device, as the interrupt controller sees them: each
/// vector is an event source with, at times, a message it sends (KVM: an eventfd, a GSI route and
/// an irqfd).
///
/// An event of a vector that has no message is remembered as pending, and sent when the vector gets
/// a message: that is what masking means (PCI 3.0, 6.8.2.9).
///
/// Threads: any, several at once; with the device's own lock held. Implementations must not call
/// back into the device. A vector beyond the count does nothing, and is never pending.
class MsiVectors {
 public:
  virtual ~MsiVectors() = default;
  MsiVectors(const MsiVectors&) = delete;
  MsiVectors& operator=(const MsiVectors&) = delete;

  /// Sends `message` from now on, at once if the vector is pending; nullopt masks.
  /// Errors: the kernel's, for example ENOSPC without a free interrupt; the vector is masked then.
  virtual Result<void> route(std::uint16_t vector, const std::optional<MsiMessage>& message) = 0;
  /// An event: the vector's message is sent or, without one, the event waits.
  virtual void trigger(std::uint16_t vector) = 0;
  /// Whether an event waits for the vector to get a message.
  [[nodiscard]] virtual bool pending(std::uint16_t vector) const = 0;
  /// Forgets waiting events: a reset.
  virtual void clear(std::uint16_t vector) = 0;
  /// An eventfd that triggers the vector, for the kernel and other processes; -1 when there is
  /// none.
  [[nodiscard]] virtual int trigger_fd(std::uint16_t vector) const = 0;

 protected:
  MsiVectors() = default;
};

/// Makes vectors; the VMM implements it.
class MsiVectorSource {
 public:
  virtual ~MsiVectorSource() = default;
  MsiVectorSource(const MsiVectorSource&) = delete;
  MsiVectorSource& operator=(const MsiVectorSource&) = delete;

  /// `count` vectors without a message. Errors: the operating system's.
  virtual Result<std::unique_ptr<MsiVectors>> create_vectors(std::uint16_t count) = 0;

 protected:
  MsiVectorSource() = default;
};

}  // namespace vmm::vm_device
