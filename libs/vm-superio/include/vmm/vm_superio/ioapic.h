// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/vm_device/bus_device.h"
#include "vmm/vm_device/irq.h"
#include "vmm/vm_superio/state_error.h"

namespace vmm::vm_superio {

/// Everything of an Ioapic; plain data for snapshots.
struct IoapicState {
  static constexpr std::size_t kPins = 24;  ///< of the 82093AA

  std::uint8_t select = 0;                         ///< IOREGSEL
  std::uint8_t id = 0;                             ///< bits 3:0
  std::uint32_t asserted = 0;                      ///< input levels, a bit for each pin
  std::array<std::uint64_t, kPins> redirection{};  ///< as the guest reads them

  friend bool operator==(const IoapicState&, const IoapicState&) = default;
};

/// Follows the redirection table, for a VMM that lets the kernel deliver a pin's interrupts (irqfd
/// and a routing table). Called with the controller's lock held.
class IoapicRouteListener {
 public:
  /// Pin `pin` now delivers `message`; nullopt while it is masked or delivers nothing. For a
  /// level-sensitive pin, bit 15 of the message's data is set, by which KVM knows that it has to
  /// report the EOI.
  virtual void route_changed(std::uint32_t pin,
                             const std::optional<vm_device::MsiMessage>& message) = 0;

 protected:
  ~IoapicRouteListener() = default;
};

/// An 82093AA I/O APIC with 24 pins, in user space, for a VM whose local APICs are in the kernel
/// (KVM's split irqchip). It turns its inputs into MSI messages.
///
/// Edge-sensitive pins deliver on a rising input while unmasked; an edge on a masked pin is lost
/// (82093AA, 3.2.4). Level-sensitive pins deliver while asserted and unmasked, set Remote IRR, and
/// deliver again only after an EOI for their vector. Remote IRR is cleared when a pin is made
/// edge-sensitive, as Linux does to force an EOI. SMI, NMI and INIT are always edges; ExtINT and
/// reserved delivery modes deliver nothing, as there is no 8259. Bits 55:49 of an entry are the
/// upper bits of a 15-bit destination id, which Linux uses when the hypervisor offers it.
///
/// Threads: any, at once. The lock is held while the sender and the route listener are called, and
/// not while resample listeners are.
class Ioapic final : public vm_device::BusDevice {
 public:
  static constexpr std::size_t kPins = IoapicState::kPins;  ///< inputs, from 0
  static constexpr std::uint64_t kAddress = 0xfec0'0000;    ///< where PCs have it
  static constexpr std::uint64_t kSize = 0x20;              ///< bytes: IOREGSEL and IOWIN
  /// What the version register reads in bits 7:0 (82093AA, 3.2.2).
  static constexpr std::uint32_t kVersion = 0x11;

  /// Borrows both, which must outlive this object; `routes` may be null.
  explicit Ioapic(vm_device::MsiSender& sender, IoapicRouteListener* routes = nullptr);

  void read(std::uint64_t offset, std::span<std::byte> data) override VMM_EXCLUDES(mutex_);
  void write(std::uint64_t offset, std::span<const std::byte> data) override VMM_EXCLUDES(mutex_);

  /// The input of pin `pin`; valid for the life of this object. Precondition: pin < kPins.
  [[nodiscard]] vm_device::ResampleLine& line(std::size_t pin);

  /// Sets the level of an input. Pins that do not exist are ignored.
  void set_level(std::size_t pin, bool asserted) VMM_EXCLUDES(mutex_);

  /// A local APIC's EOI broadcast for `vector` (KVM_EXIT_IOAPIC_EOI): ends the service of each
  /// level-sensitive pin with that vector, tells its resample listener, and delivers again if it
  /// is still asserted.
  void end_of_interrupt(std::uint8_t vector) VMM_EXCLUDES(mutex_);

  /// For a snapshot.
  [[nodiscard]] IoapicState state() const VMM_EXCLUDES(mutex_);
  /// Replaces the state, announces all routes, and sends nothing: what was in flight is in the
  /// local APICs' state.
  ///
  /// Errors, without a change: kReservedBits; kInconsistent for a pin in service (Remote IRR) that
  /// is not level-sensitive.
  Result<void, StateError> restore(const IoapicState& state) VMM_EXCLUDES(mutex_);

 private:
  class Pin final : public vm_device::ResampleLine {
   public:
    void set(bool asserted) override { chip->set_level(index, asserted); }
    void set_resample_listener(vm_device::ResampleListener* to) override { listener = to; }

    Ioapic* chip = nullptr;
    std::size_t index = 0;
    vm_device::ResampleListener* listener = nullptr;
  };

  [[nodiscard]] std::uint32_t read_window() const VMM_REQUIRES(mutex_);
  void write_window(std::uint32_t value) VMM_REQUIRES(mutex_);
  void write_entry(std::size_t pin, std::uint64_t entry) VMM_REQUIRES(mutex_);
  void serve_level(std::size_t pin) VMM_REQUIRES(mutex_);
  void announce(std::size_t pin) VMM_REQUIRES(mutex_);

  vm_device::MsiSender& sender_;
  IoapicRouteListener* const routes_;
  std::array<Pin, kPins> pins_;
  mutable Mutex mutex_;
  IoapicState regs_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::vm_superio
