// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/arch/aarch64/registers.h"
#include "vmm/base/result.h"
#include "vmm/kvm_ioctls/exit.h"
#include "vmm/kvm_ioctls/one_reg.h"
#include "vmm/kvm_ioctls/vcpu.h"
#include "vmm/kvm_ioctls/vm.h"

namespace vmm::arch::aarch64::kvm {

/// Optional parts of a vCPU; all vCPUs of a VM have the same.
struct VcpuFeatures {
  bool sve = false;    ///< scalable vectors, of every length that the host has
  bool pauth = false;  ///< pointer authentication, addresses and generic
  bool pmu = false;    ///< performance counters (PMUv3)
};

/// What the host offers.
[[nodiscard]] VcpuFeatures host_features(const kvm_ioctls::Vm& vm);

/// The argument of KVM_ARM_VCPU_INIT: the host's own processor with PSCI 1.0 or later.
/// `powered_off`: the vCPU waits for PSCI's CPU_ON, as all but the first do.
/// Errors: those of KVM_ARM_PREFERRED_TARGET.
[[nodiscard]] Result<kvm_ioctls::VcpuInit> vcpu_init(const kvm_ioctls::Vm& vm,
                                                     const VcpuFeatures& features,
                                                     bool powered_off);

/// Makes a new vCPU usable, SVE sealed. Errors: those of KVM_ARM_VCPU_INIT and _FINALIZE.
Result<void> set_up_vcpu(const kvm_ioctls::Vcpu& vcpu, const kvm_ioctls::VcpuInit& init);

/// X0 to X3, PC and PSTATE of the boot vCPU. Errors: those of KVM_SET_ONE_REG.
Result<void> set_registers(const kvm_ioctls::Vcpu& vcpu, const BootRegisters& registers);

/// Gives the vCPU's counters their interrupt and starts them: once its GIC is initialized.
/// Errors: those of KVM_SET_DEVICE_ATTR.
Result<void> start_pmu(const kvm_ioctls::Vcpu& vcpu);

/// The access that an exits::ArmNisv reports ends with an external abort in the guest, when it
/// runs next. Errors: those of KVM_SET_VCPU_EVENTS.
Result<void> inject_external_abort(const kvm_ioctls::Vcpu& vcpu);

/// Answers the exits that only this architecture has: an exits::ArmNisv by that abort. False for
/// all others, and when KVM refuses.
[[nodiscard]] bool answer_exit(const kvm_ioctls::Vcpu& vcpu, const kvm_ioctls::VcpuExit& exit);

}  // namespace vmm::arch::aarch64::kvm
