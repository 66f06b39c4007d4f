// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/x86_64/kvm/cpuid.h"

#include "vmm/arch/x86_64/kvm/error.h"

namespace vmm::arch::x86_64::kvm {

#if defined(__x86_64__)

Result<std::vector<CpuidEntry>> supported_cpuid(const kvm_ioctls::System& system) {
  const auto supported = system.supported_cpuid();
  if (!supported) return fail(supported.error());
  std::vector<CpuidEntry> entries;
  entries.reserve(supported->size() + 4);
  for (const kvm_ioctls::CpuidEntry& e : *supported) {
    entries.push_back({.function = e.function,
                       .index = e.index,
                       .flags = e.flags,
                       .eax = e.eax,
                       .ebx = e.ebx,
                       .ecx = e.ecx,
                       .edx = e.edx});
  }
  return entries;
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

Result<void> set_cpuid(const kvm_ioctls::Vcpu& vcpu, std::span<const CpuidEntry> entries) {
  kvm_ioctls::CpuidList list;
  for (const CpuidEntry& e : entries) {
    const kvm_ioctls::CpuidEntry entry{.function = e.function,
                                       .index = e.index,
                                       .flags = e.flags,
                                       .eax = e.eax,
                                       .ebx = e.ebx,
                                       .ecx = e.ecx,
                                       .edx = e.edx,
                                       .padding = {}};
    if (!list.push_back(entry)) return fail(SetupError::kTooManyCpuidEntries);
  }
  return vcpu.set_cpuid2(list);
}

#endif

}  // namespace vmm::arch::x86_64::kvm
