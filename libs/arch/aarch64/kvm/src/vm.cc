// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/aarch64/kvm/vm.h"

#include "vmm/arch/aarch64/kvm/error.h"
#include "vmm/arch/aarch64/layout.h"

namespace vmm::arch::aarch64::kvm {

#if defined(__aarch64__)

namespace {

constexpr std::uint32_t kDefaultIpaBits = 40;  // of a KVM that cannot choose

}  // namespace

Result<kvm_ioctls::Vm> create_vm(const kvm_ioctls::System& system, GuestAddress end) {
  const std::uint32_t bits = ipa_bits(end);
  const std::uint32_t limit = system.host_ipa_limit();
  if (bits > (limit == 0 ? kDefaultIpaBits : limit)) return fail(SetupError::kTooManyAddressBits);
  return limit == 0 ? system.create_vm() : system.create_vm_with_ipa_bits(bits);
}

Result<void> set_up_vm(const kvm_ioctls::Vm& vm) {
  if (!vm.has(kvm_ioctls::Cap::kArmNisvToUser)) return {};
  return vm.enable_cap({.cap = kvm_ioctls::Cap::kArmNisvToUser});
}

#endif

}  // namespace vmm::arch::aarch64::kvm
