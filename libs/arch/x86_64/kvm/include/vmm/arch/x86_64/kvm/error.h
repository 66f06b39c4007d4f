// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/error.h"

namespace vmm::arch::x86_64::kvm {

/// What this library finds wrong itself; everything else is an error of KVM.
enum class SetupError : std::uint8_t {
  kTooManyCpuidEntries,  ///< more than KVM takes (256)
  kTooManyMsrs,          ///< more than one call takes (256)
  kMsrRefused,           ///< KVM did not take one of the MSRs
};

/// Control-path form of the error.
Error make_error(SetupError error);

}  // namespace vmm::arch::x86_64::kvm
