// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/error.h"

namespace vmm::sandbox {

/// What this library itself finds wrong; everything else is an errno of the kernel.
enum class SandboxError : std::uint8_t {
  kUnknownCall = 1,  ///< a rule names a system call that no architecture has
  kTooManyRules,     ///< a filter with more rules than kMaxRules, or longer than the kernel takes
  kNoSeccomp,        ///< the kernel has no filters of system calls
  kNoLandlock,       ///< the kernel has no Landlock, or it is switched off
  kOldLandlock,      ///< its Landlock is older than what is asked for
};

[[nodiscard]] Error make_error(SandboxError error);

}  // namespace vmm::sandbox
