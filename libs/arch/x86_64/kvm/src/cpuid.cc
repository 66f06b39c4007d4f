// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/x86_64/kvm/cpuid.h"

#include "vmm/arch/x86_64/kvm/vcpu.h"

namespace vmm::arch::x86_64::kvm {

#if defined(__x86_64__)

Result<std::vector<CpuidEntry>> supported_cpuid(const kvm_ioctls::System& system) {
  const auto supported = system.supported_cpuid();
  if (!supported) return fail(supported.error());
  return from_kvm(*supported);
}

Result<std::vector<CpuidEntry>> guest_cpuid(const kvm_ioctls::System& system, const ApicIds& ids,
                                            const CpuidConfig& config) {
  VMM_TRY(auto entries, supported_cpuid(system));
  CpuidConfig offered = config;
  offered.tsc_deadline_timer =
      config.tsc_deadline_timer && system.has(kvm_ioctls::Cap::kTscDeadlineTimer);
  configure_cpuid(entries, ids, offered);
  return entries;
}

#endif

}  // namespace vmm::arch::x86_64::kvm
