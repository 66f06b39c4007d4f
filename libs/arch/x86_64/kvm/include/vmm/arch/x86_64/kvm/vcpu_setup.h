// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <span>

#include "vmm/arch/x86_64/cpuid.h"
#include "vmm/arch/x86_64/registers.h"
#include "vmm/arch/x86_64/topology.h"
#include "vmm/base/result.h"
#include "vmm/kvm_ioctls/vcpu.h"

namespace vmm::arch::x86_64::kvm {

// The same values in KVM's structures. What ours do not decide is taken from `now`.
[[nodiscard]] kvm_ioctls::Regs to_kvm(const Regs& regs);
[[nodiscard]] kvm_ioctls::Segment to_kvm(const Segment& segment);
[[nodiscard]] kvm_ioctls::Sregs to_kvm(const Sregs& sregs, const kvm_ioctls::Sregs& now);
[[nodiscard]] kvm_ioctls::Fpu to_kvm(const Fpu& fpu, const kvm_ioctls::Fpu& now);

/// Errors: those of the ioctls.
Result<void> set_registers(const kvm_ioctls::Vcpu& vcpu, const BootRegisters& registers);
/// Errors: kTooManyMsrs; kMsrRefused when KVM stopped before the last one.
Result<void> set_msrs(const kvm_ioctls::Vcpu& vcpu, std::span<const Msr> msrs);
/// LINT0 as ExtINT, LINT1 as NMI. Errors: EINVAL without an in-kernel APIC.
Result<void> set_lints(const kvm_ioctls::Vcpu& vcpu);

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
