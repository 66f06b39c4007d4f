// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>

// What a device needs of the interrupt controller. The implementations live with the VMM (irqfd,
// KVM_IRQ_LINE, KVM_SIGNAL_MSI) or in a user-space controller; devices know only these.
//
// Threads: every function may be called from any thread, several at once, and with a device's own
// lock held. So an implementation must not block and must not call back into the device.

namespace vmm::vm_device {

/// A level-sensitive interrupt input: it is either asserted or not.
///
/// set() is told the logical state, whatever polarity the guest configured. Repeating a state has
/// no effect.
class IrqLine {
 public:
  virtual ~IrqLine() = default;
  IrqLine(const IrqLine&) = delete;
  IrqLine& operator=(const IrqLine&) = delete;

  /// Tells the state of now.
  virtual void set(bool asserted) = 0;

 protected:
  IrqLine() = default;
};

/// An interrupt input on which each call is one event: an edge, or a message already composed.
class IrqTrigger {
 public:
  virtual ~IrqTrigger() = default;
  IrqTrigger(const IrqTrigger&) = delete;
  IrqTrigger& operator=(const IrqTrigger&) = delete;

  /// Reports one event. Several before the guest has seen the first may become one.
  virtual void trigger() = 0;

 protected:
  IrqTrigger() = default;
};

/// Learns that the guest has finished handling a level interrupt (its EOI).
///
/// Called without any lock of the controller held; resampled() may call set() on the line.
class ResampleListener {
 public:
  /// The guest's EOI has arrived. Called by whatever thread brought it.
  virtual void resampled() = 0;

 protected:
  ~ResampleListener() = default;
};

/// A level-sensitive input that reports the guest's EOI, for sources that cannot watch their
/// cause go away by themselves (a passed-through device behind an irqfd pair).
class ResampleLine : public IrqLine {
 public:
  /// Replaces the listener; nullptr for none. Call it before the guest runs. The listener must
  /// outlive the line.
  virtual void set_resample_listener(ResampleListener* listener) = 0;
};

/// One message-signalled interrupt, as a memory write of `data` to `address`.
struct MsiMessage {
  std::uint64_t address = 0;  ///< guest-physical
  std::uint32_t data = 0;     ///< what is written
  /// Who writes, where the controller tells writers apart (GICv3 ITS); absent elsewhere.
  std::optional<std::uint32_t> device_id = std::nullopt;

  friend constexpr bool operator==(const MsiMessage&, const MsiMessage&) = default;
};

/// Delivers message-signalled interrupts.
class MsiSender {
 public:
  virtual ~MsiSender() = default;
  MsiSender(const MsiSender&) = delete;
  MsiSender& operator=(const MsiSender&) = delete;

  /// Delivers the message now; one that nothing can receive is lost.
  virtual void send(const MsiMessage& message) = 0;

 protected:
  MsiSender() = default;
};

/// Drives an edge-sensitive input from a device that thinks in levels: one event for each change
/// from deasserted to asserted, as on an ISA line.
///
/// Threads: the caller serialises set(), as a device with one lock does.
class EdgeLine final : public IrqLine {
 public:
  /// Borrows `trigger`, which must outlive this object.
  explicit EdgeLine(IrqTrigger& trigger) : trigger_(trigger) {}

  /// Triggers when `asserted` becomes true.
  void set(bool asserted) override {
    const bool rises = asserted && !asserted_;
    asserted_ = asserted;
    if (rises) trigger_.trigger();
  }

 private:
  IrqTrigger& trigger_;
  bool asserted_ = false;
};

}  // namespace vmm::vm_device
