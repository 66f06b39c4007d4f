// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/aarch64/kvm/error.h"

#include <string_view>

namespace vmm::arch::aarch64::kvm {
namespace {

std::string_view message(std::int32_t code) {
  switch (static_cast<SetupError>(code)) {
    case SetupError::kTooManyAddressBits:
      return "more physical addresses than this host's KVM gives to a guest";
    case SetupError::kNoGic:
      return "this host's KVM has neither a GICv3 nor a GICv2 for guests";
    case SetupError::kTooManyVcpus:
      return "more vCPUs than the interrupt controller holds";
    case SetupError::kBadGicState:
      return "the saved state is of another kind of interrupt controller, or damaged";
  }
  return "unknown error of the VM setup";
}

constexpr ErrorDomain kDomain{"arch-aarch64-kvm", &message};

}  // namespace

Error make_error(SetupError error) {
  return {kDomain, static_cast<std::int32_t>(error), "set up a VM"};
}

}  // namespace vmm::arch::aarch64::kvm
