// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sandbox/sandbox_error.h"

#include <string_view>

namespace vmm::sandbox {
namespace {

std::string_view message(std::int32_t code) {
  switch (static_cast<SandboxError>(code)) {
    case SandboxError::kUnknownCall:
      return "a rule for a system call that is not known";
    case SandboxError::kTooManyRules:
      return "more rules than a filter can have";
    case SandboxError::kNoSeccomp:
      return "the kernel has no filters of system calls (CONFIG_SECCOMP_FILTER)";
    case SandboxError::kNoLandlock:
      return "the kernel has no Landlock (CONFIG_SECURITY_LANDLOCK, and \"landlock\" in its list "
             "of security modules)";
    case SandboxError::kOldLandlock:
      return "the kernel's Landlock is too old (ABI 3, of Linux 6.2, is needed)";
  }
  return "unknown sandbox error";
}

constexpr ErrorDomain kSandboxDomain{"sandbox", &message};

}  // namespace

Error make_error(SandboxError error) {
  return {kSandboxDomain, static_cast<std::int32_t>(error), "sandbox"};
}

}  // namespace vmm::sandbox
