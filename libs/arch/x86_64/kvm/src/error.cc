// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/x86_64/kvm/error.h"

namespace vmm::arch::x86_64::kvm {

namespace {

std::string_view message(std::int32_t code) {
  switch (static_cast<SetupError>(code)) {
    case SetupError::kTooManyCpuidEntries:
      return "more CPUID entries than KVM takes";
    case SetupError::kTooManyMsrs:
      return "more MSRs than KVM takes at once";
    case SetupError::kMsrRefused:
      return "KVM does not take one of the MSRs of a vCPU at boot";
  }
  return "unknown error of the vCPU setup";
}

constexpr ErrorDomain kDomain{"arch-x86_64-kvm", &message};

}  // namespace

Error make_error(SetupError error) {
  return {kDomain, static_cast<std::int32_t>(error), "set up a vCPU"};
}

}  // namespace vmm::arch::x86_64::kvm
