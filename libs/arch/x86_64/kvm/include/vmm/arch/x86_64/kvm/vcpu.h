// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "vmm/arch/x86_64/cpuid.h"
#include "vmm/arch/x86_64/registers.h"
#include "vmm/arch/x86_64/topology.h"
#include "vmm/base/result.h"
#include "vmm/kvm_ioctls/vcpu.h"
#include "vmm/kvm_ioctls/x86_state.h"

namespace vmm::arch::x86_64::kvm {

/// @{
/// The same values in KVM's structures. What ours do not decide is taken from `now`.
[[nodiscard]] kvm_ioctls::Regs to_kvm(const Regs& regs);
[[nodiscard]] kvm_ioctls::Segment to_kvm(const Segment& segment);
[[nodiscard]] kvm_ioctls::Sregs to_kvm(const Sregs& sregs, const kvm_ioctls::Sregs& now);
[[nodiscard]] kvm_ioctls::Fpu to_kvm(const Fpu& fpu, const kvm_ioctls::Fpu& now);
/// @}

/// KVM's list as the entries that configure_cpuid() edits.
[[nodiscard]] std::vector<CpuidEntry> from_kvm(const kvm_ioctls::CpuidList& list);

/// Before the vCPU's registers and MSRs. Errors: kTooManyCpuidEntries; those of KVM_SET_CPUID2.
Result<void> set_cpuid(const kvm_ioctls::Vcpu& vcpu, std::span<const CpuidEntry> entries);
/// General, system and FPU registers of the boot vCPU; what BootRegisters does not name keeps its
/// value. Errors: those of the ioctls.
Result<void> set_registers(const kvm_ioctls::Vcpu& vcpu, const BootRegisters& registers);
/// Errors: kTooManyMsrs; kMsrRefused when KVM stopped before the last one.
Result<void> set_msrs(const kvm_ioctls::Vcpu& vcpu, std::span<const Msr> msrs);
/// The FPU's control words. Errors: those of the ioctls.
Result<void> set_fpu(const kvm_ioctls::Vcpu& vcpu, const Fpu& fpu);
/// LINT0 as ExtINT, LINT1 as NMI. Errors: EINVAL without an in-kernel APIC.
Result<void> set_lints(const kvm_ioctls::Vcpu& vcpu);

/// What set_up_vcpu() gives a vCPU.
struct VcpuSetup {
  std::uint32_t index = 0;              ///< of the vCPU, from 0
  std::span<const CpuidEntry> cpuid{};  ///< of the guest; the vCPU's id is put in here
  bool in_kernel_apic = true;           ///< any irqchip but kNone
};

/// CPUID, MSRs, FPU and APIC of a vCPU that was created with the id `ids.id(setup.index)`: all a
/// vCPU needs that waits for INIT. The boot vCPU gets set_registers() as well.
/// Errors: those of the functions above.
Result<void> set_up_vcpu(const kvm_ioctls::Vcpu& vcpu, const ApicIds& ids, const VcpuSetup& setup);

}  // namespace vmm::arch::x86_64::kvm
