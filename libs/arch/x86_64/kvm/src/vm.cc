// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/x86_64/kvm/vm.h"

#include <cerrno>

namespace vmm::arch::x86_64::kvm {

#if defined(__x86_64__)

namespace {

Result<void> create_irqchip(const kvm_ioctls::Vm& vm, const VmSetup& setup) {
  switch (setup.irqchip) {
    case Irqchip::kNone:
      return {};
    case Irqchip::kSplit:
      return vm.enable_split_irqchip(setup.ioapic_pins);
    case Irqchip::kFull:
      break;
  }
  VMM_TRY_DO(vm.create_irqchip());
  if (!setup.pit) return {};
  return vm.create_pit(true);
}

}  // namespace

Result<void> set_up_vm(const kvm_ioctls::Vm& vm, const VmSetup& setup) {
  if ((setup.pit && setup.irqchip != Irqchip::kFull) ||
      (setup.wide_apic_ids && setup.irqchip == Irqchip::kNone)) {
    return fail(Error::os(EINVAL, "set up the VM's interrupt controllers"));
  }
  VMM_TRY_DO(vm.set_identity_map_address(setup.identity_map));
  VMM_TRY_DO(vm.set_tss_address(setup.tss));
  VMM_TRY_DO(create_irqchip(vm, setup));
  if (!setup.wide_apic_ids) return {};
  constexpr std::uint64_t kUse32BitIds = 1;
  constexpr std::uint64_t kNoBroadcastQuirk = 2;
  kvm_ioctls::EnableCap cap{.cap = kvm_ioctls::Cap::kX2apicApi};
  cap.args[0] = kUse32BitIds | kNoBroadcastQuirk;
  return vm.enable_cap(cap);
}

#endif

}  // namespace vmm::arch::x86_64::kvm
