// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/aarch64/kvm/vcpu.h"

#include "vmm/arch/aarch64/layout.h"
#include "vmm/base/log.h"
#include "vmm/kvm_ioctls/arm64_state.h"

namespace vmm::arch::aarch64::kvm {

#if defined(__aarch64__)

namespace {

using kvm_ioctls::Cap;
using kvm_ioctls::VcpuInit;

bool has_sve(const VcpuInit& init) { return (init.features[0] >> VcpuInit::kSve & 1) != 0; }

}  // namespace

VcpuFeatures host_features(const kvm_ioctls::Vm& vm) {
  return {.sve = vm.has(Cap::kArmSve),
          .pauth = vm.has(Cap::kArmPtrauthAddress) && vm.has(Cap::kArmPtrauthGeneric),
          .pmu = vm.has(Cap::kArmPmuV3)};
}

Result<VcpuInit> vcpu_init(const kvm_ioctls::Vm& vm, const VcpuFeatures& features,
                           bool powered_off) {
  VMM_TRY(VcpuInit init, vm.preferred_target());
  init.enable(VcpuInit::kPsci02);  // what it stands for today is PSCI 1.1, or what the host has
  if (powered_off) init.enable(VcpuInit::kPowerOff);
  if (features.pmu) init.enable(VcpuInit::kPmuV3);
  if (features.sve) init.enable(VcpuInit::kSve);
  if (features.pauth) {
    init.enable(VcpuInit::kPtrauthAddress);
    init.enable(VcpuInit::kPtrauthGeneric);
  }
  return init;
}

Result<void> set_up_vcpu(const kvm_ioctls::Vcpu& vcpu, const VcpuInit& init) {
  VMM_TRY_DO(vcpu.init(init));
  if (!has_sve(init)) return {};
  return vcpu.finalize(VcpuInit::kSve);
}

Result<void> set_registers(const kvm_ioctls::Vcpu& vcpu, const BootRegisters& registers) {
  VMM_TRY_DO(vcpu.set_reg(kvm_ioctls::kArm64Pstate, registers.pstate));
  VMM_TRY_DO(vcpu.set_reg(kvm_ioctls::kArm64Pc, registers.pc));
  for (unsigned i = 0; i < registers.x.size(); ++i) {
    VMM_TRY_DO(vcpu.set_reg(kvm_ioctls::arm64_x(i), registers.x[i]));
  }
  return {};
}

Result<void> start_pmu(const kvm_ioctls::Vcpu& vcpu) {
  int interrupt = kFirstPpi + kPmuPpi;
  VMM_TRY_DO(vcpu.set_attr(
      {.group = kvm_ioctls::kArmVcpuPmu, .attr = kvm_ioctls::kArmVcpuPmuIrq, .data = &interrupt}));
  return vcpu.set_attr({.group = kvm_ioctls::kArmVcpuPmu, .attr = kvm_ioctls::kArmVcpuPmuInit});
}

Result<void> inject_external_abort(const kvm_ioctls::Vcpu& vcpu) {
  kvm_ioctls::Arm64VcpuEvents events{};
  events.ext_dabt_pending = 1;
  return vcpu.set_vcpu_events(events);
}

bool answer_exit(const kvm_ioctls::Vcpu& vcpu, const kvm_ioctls::VcpuExit& exit) {
  const auto* access = std::get_if<kvm_ioctls::exits::ArmNisv>(&exit);
  if (access == nullptr) return false;
  VMM_LOG_GUEST(kWarn, "device access at %#llx by an instruction without syndrome",
                static_cast<unsigned long long>(access->fault_address.raw()));
  return inject_external_abort(vcpu).has_value();
}

#endif

}  // namespace vmm::arch::aarch64::kvm
