// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/arch/x86_64/layout.h"
#include "vmm/base/result.h"
#include "vmm/kvm_ioctls/vm.h"

namespace vmm::arch::x86_64::kvm {

/// Where interrupt controllers live.
enum class Irqchip : std::uint8_t {
  kNone,   ///< all in user space
  kSplit,  ///< local APICs in KVM, the IOAPIC in user space, no PICs
  kFull,   ///< all in KVM
};

/// What set_up_vm() makes.
struct VmSetup {
  Irqchip irqchip = Irqchip::kFull;         ///< for all of the VM's life
  std::uint32_t ioapic_pins = kIoApicPins;  ///< with kSplit: GSIs that end interrupts by exits
  bool pit = false;                         ///< with kFull: the timer chip, and port 0x61
  GuestAddress tss = kTss.base;             ///< three pages that are no RAM
  GuestAddress identity_map = kIdentityMap.base;  ///< one page that is no RAM
  /// APIC ids of 32 bits in messages and APIC pages; for more than 255 vCPUs. Needs an irqchip.
  bool wide_apic_ids = false;
};

/// Does what must be done between the creation of a VM and that of its first vCPU.
///
/// Errors: those of the ioctls; EINVAL for a timer chip or wide ids without the irqchip that they
/// need.
Result<void> set_up_vm(const kvm_ioctls::Vm& vm, const VmSetup& setup = {});

}  // namespace vmm::arch::x86_64::kvm
