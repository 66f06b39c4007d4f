// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <vector>

#include "vmm/arch/x86_64/cpuid.h"
#include "vmm/base/result.h"
#include "vmm/kvm_ioctls/system.h"

namespace vmm::arch::x86_64::kvm {

/// What KVM can show to a guest. Errors: those of KVM_GET_SUPPORTED_CPUID.
[[nodiscard]] Result<std::vector<CpuidEntry>> supported_cpuid(const kvm_ioctls::System& system);

/// The leaves of a guest: the supported ones, configured. `config.tsc_deadline_timer` is only kept
/// when KVM has that timer. The result holds vCPU 0's id.
/// Errors: those of KVM_GET_SUPPORTED_CPUID.
[[nodiscard]] Result<std::vector<CpuidEntry>> guest_cpuid(const kvm_ioctls::System& system,
                                                          const ApicIds& ids,
                                                          const CpuidConfig& config = {});

}  // namespace vmm::arch::x86_64::kvm
