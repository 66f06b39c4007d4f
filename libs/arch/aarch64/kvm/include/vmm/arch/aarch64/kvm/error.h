// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/error.h"

namespace vmm::arch::aarch64::kvm {

/// What this library finds wrong itself; everything else is an error of KVM.
enum class SetupError : std::uint8_t {
  kTooManyAddressBits = 1,  ///< the memory map needs more than the host's KVM can give
  kNoGic,                   ///< KVM makes neither a GICv3 nor a GICv2 here
  kTooManyVcpus,            ///< more than the interrupt controller holds
  kBadGicState,             ///< a saved state that is not of such an interrupt controller
};

/// Control-path form of the error.
Error make_error(SetupError error);

}  // namespace vmm::arch::aarch64::kvm
