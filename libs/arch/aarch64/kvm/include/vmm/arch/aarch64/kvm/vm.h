// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "vmm/base/guest_address.h"
#include "vmm/base/result.h"
#include "vmm/kvm_ioctls/system.h"
#include "vmm/kvm_ioctls/vm.h"

namespace vmm::arch::aarch64::kvm {

/// A VM with just enough bits of guest-physical address for `end`, the first address behind
/// everything in its memory map: fewer bits mean fewer levels of page tables.
/// Errors: kTooManyAddressBits when the host has not that many; those of KVM_CREATE_VM.
[[nodiscard]] Result<kvm_ioctls::Vm> create_vm(const kvm_ioctls::System& system, GuestAddress end);

/// Lets device accesses that leave no syndrome come out as exits::ArmNisv, where the host can.
/// Errors: those of KVM_ENABLE_CAP.
Result<void> set_up_vm(const kvm_ioctls::Vm& vm);

}  // namespace vmm::arch::aarch64::kvm
