// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Puts the values that arch-x86_64 computes into KVM's vCPUs.

#include <span>
#include <vector>

#include "vmm/arch/x86_64/cpuid.h"
#include "vmm/arch/x86_64/registers.h"
#include "vmm/base/result.h"
#include "vmm/kvm_ioctls/vcpu.h"
#include "vmm/kvm_ioctls/x86_state.h"

namespace vmm::arch::x86_64::kvm {

/// KVM's list as the entries that configure_cpuid() edits.
[[nodiscard]] std::vector<CpuidEntry> from_kvm(const kvm_ioctls::CpuidList& list);

/// Sets the CPUID leaves of a vCPU; before its registers and MSRs.
/// Errors: ENOMEM for more than CpuidList::kCapacity entries; the errno of KVM_SET_CPUID2.
Result<void> set_cpuid(const kvm_ioctls::Vcpu& vcpu, std::span<const CpuidEntry> entries);

/// Sets MSRs. Errors: EINVAL when KVM refuses one of them; the errno of KVM_SET_MSRS.
Result<void> set_msrs(const kvm_ioctls::Vcpu& vcpu, std::span<const Msr> msrs);

/// Sets the general, system and FPU registers of the boot vCPU; what BootRegisters does not name
/// keeps its reset value. Errors: the errno of the ioctls.
Result<void> set_registers(const kvm_ioctls::Vcpu& vcpu, const BootRegisters& registers);

/// Sets the FPU control words of a vCPU that waits for its start. Errors: as set_registers().
Result<void> set_fpu(const kvm_ioctls::Vcpu& vcpu, const Fpu& fpu);

/// Wires LINT0 as ExtINT and LINT1 as NMI in the in-kernel local APIC, with set_boot_lints().
/// Errors: EINVAL without an in-kernel local APIC.
Result<void> set_lints(const kvm_ioctls::Vcpu& vcpu);

}  // namespace vmm::arch::x86_64::kvm
