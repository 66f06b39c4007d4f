// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <optional>

#include "vmm/base/guest_address.h"

namespace vmm::kvm_ioctls {

/// A global system interrupt: an index into the VM's routing table, or aarch64's encoded line.
enum class Gsi : std::uint32_t {};

/// aarch64: what kind of line a number names; see arm_gsi().
enum class ArmIrqKind : std::uint8_t {
  kCpu = 0,  ///< the IRQ (0) or FIQ (1) input of a vCPU, with a user-space GIC
  kSpi = 1,  ///< shared, 32 to 1019
  kPpi = 2,  ///< private to a vCPU, 16 to 31
};
/// An interrupt of aarch64, before arm_gsi() packs it.
struct ArmIrq {
  ArmIrqKind kind;           ///< whose numbers `number` counts
  std::uint16_t vcpu = 0;    ///< below 4096; above 255 it needs Cap::kArmIrqLineLayout2
  std::uint16_t number = 0;  ///< the interrupt id (INTID); for kCpu 0 or 1
};
/// The number that KVM_IRQ_LINE wants on aarch64: kind, vCPU and interrupt packed into a word.
[[nodiscard]] constexpr Gsi arm_gsi(const ArmIrq& irq) {
  const std::uint32_t vcpu = irq.vcpu;
  return static_cast<Gsi>((vcpu >> 8 & 0xf) << 28 | static_cast<std::uint32_t>(irq.kind) << 24 |
                          (vcpu & 0xff) << 16 | irq.number);
}

/// A message-signalled interrupt: a write of `data` to `address`.
struct MsiMessage {
  std::uint64_t address = 0;                 ///< guest-physical
  std::uint32_t data = 0;                    ///< what is written
  std::optional<std::uint32_t> device_id{};  ///< aarch64 and riscv64: who writes (ITS, IMSIC)
};

/// One row of the table from interrupts to their destination, made by the functions below
/// (struct kvm_irq_routing_entry).
struct IrqRoute {
  /// @{
  /// Which interrupt, and where it leads (KVM_IRQ_ROUTING_*).
  std::uint32_t gsi = 0;
  std::uint32_t type = 0;
  /// @}
  std::uint32_t flags = 0;                ///< KVM_MSI_VALID_DEVID for an MSI with device_id
  std::uint32_t pad = 0;                  ///< zero
  std::array<std::uint32_t, 8> target{};  ///< union `u`: by type

  /// @{
  /// The interrupt chips of x86_64; aarch64's VGIC and riscv64's AIA have number 0.
  static constexpr std::uint32_t kPicMaster = 0;
  static constexpr std::uint32_t kPicSlave = 1;
  static constexpr std::uint32_t kIoapic = 2;
  /// @}

  /// An input of an interrupt chip.
  struct ChipPin {
    std::uint32_t chip;  ///< kPicMaster, kPicSlave, kIoapic, or 0
    std::uint32_t pin;   ///< 0 to 7 of a PIC; 0 to 23 of the IOAPIC
  };
  /// @{
  /// Rows that raise a chip's input, or send a message. Nothing is checked here: see
  /// Vm::set_gsi_routing().
  static IrqRoute to_chip(Gsi gsi, const ChipPin& pin);
  static IrqRoute to_msi(Gsi gsi, const MsiMessage& message);
  /// @}
  /// A synthetic interrupt source of Hyper-V.
  struct HypervSint {
    std::uint32_t vcpu;  ///< the vCPU's Hyper-V index (HV_X64_MSR_VP_INDEX)
    std::uint32_t sint;  ///< 0 to 15
  };
  /// A row that raises a synthetic interrupt; needs an enabled SynIC. Nothing is checked here.
  static IrqRoute to_hyperv_sint(Gsi gsi, const HypervSint& sint);
  /// An event channel of Xen's, of the two-level ABI.
  struct XenEventChannel {
    std::uint32_t port;      ///< the guest's port
    std::uint32_t vcpu;      ///< the vCPU's id
    std::uint32_t priority;  ///< KVM_IRQ_ROUTING_XEN_EVTCHN_PRIO_2LEVEL, (uint32_t)-1
  };
  /// A row that sets an event channel pending. Nothing is checked here.
  static IrqRoute to_xen(Gsi gsi, const XenEventChannel& channel);
};

/// What a guest writes to ring an ioeventfd: anything, or one value of one size.
class IoEventMatch {
 public:
  /// Every write, of any size.
  static constexpr IoEventMatch any() { return IoEventMatch(0, std::nullopt); }
  /// Every write of `bytes`: 1, 2, 4 or 8.
  static constexpr IoEventMatch any_of_size(std::uint32_t bytes) {
    return IoEventMatch(bytes, std::nullopt);
  }
  /// Writes of T's size with this value.
  template <std::unsigned_integral T>
  static constexpr IoEventMatch value(T value) {
    static_assert(sizeof(T) <= 8);
    return IoEventMatch(sizeof(T), value);
  }

  /// The size of a write that matches; 0: every size.
  [[nodiscard]] constexpr std::uint32_t bytes() const { return bytes_; }
  /// The value of a write that matches; nullopt: every value.
  [[nodiscard]] constexpr std::optional<std::uint64_t> value() const { return value_; }

 private:
  constexpr IoEventMatch(std::uint32_t bytes, std::optional<std::uint64_t> value)
      : bytes_(bytes), value_(value) {}

  std::uint32_t bytes_;
  std::optional<std::uint64_t> value_;
};

/// Where a guest's write rings an eventfd instead of causing an exit.
struct IoEvent {
  /// The kind of address.
  enum class Space : std::uint8_t {
    kMmio,
    kPio,
    kVirtioCcw,  ///< s390's; elsewhere refused by the kernel
  };
  Space space = Space::kMmio;                ///< what `address` counts
  std::uint64_t address = 0;                 ///< guest-physical, or the port
  IoEventMatch match = IoEventMatch::any();  ///< which writes at `address`
};

}  // namespace vmm::kvm_ioctls
