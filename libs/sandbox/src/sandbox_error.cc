// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sandbox/sandbox_error.h"

#include <string_view>

namespace vmm::sandbox {
namespace {

// The error is in the low byte of a code; above it is a thread's id, of which there are 2^22, or
// one more than the index of a rule, of which there are fewer.
constexpr unsigned kDetailShift = 8;
constexpr std::int32_t kErrorMask = 0xff;

std::string_view message(std::int32_t code) {
  switch (static_cast<SandboxError>(code & kErrorMask)) {
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
    case SandboxError::kBadArgument:
      return "a rule that compares an argument beyond the sixth, or one of them twice";
    case SandboxError::kDivergedThread:
      return "a thread of the process has filters that the calling one has not";
    case SandboxError::kBadErrno:
      return "a rule that fails with a number that is no errno value (1 to 4094)";
  }
  return "unknown sandbox error";
}

constexpr ErrorDomain kSandboxDomain{"sandbox", &message};

}  // namespace

Error make_error(SandboxError error) {
  return {kSandboxDomain, static_cast<std::int32_t>(error), "sandbox"};
}

Error make_diverged_thread(std::int32_t thread) {
  return {kSandboxDomain,
          static_cast<std::int32_t>(SandboxError::kDivergedThread) | (thread << kDetailShift),
          "SECCOMP_FILTER_FLAG_TSYNC"};
}

Error make_bad_rule(SandboxError error, std::size_t index) {
  const auto number = static_cast<std::int32_t>(index + 1);
  return {kSandboxDomain, static_cast<std::int32_t>(error) | (number << kDetailShift),
          "compile a filter of system calls"};
}

bool is(const Error& error, SandboxError which) {
  return error.domain() == kSandboxDomain &&
         (error.code() & kErrorMask) == static_cast<std::int32_t>(which);
}

std::optional<std::int32_t> diverged_thread(const Error& error) {
  if (!is(error, SandboxError::kDivergedThread)) return std::nullopt;
  return error.code() >> kDetailShift;
}

std::optional<std::size_t> bad_rule(const Error& error) {
  if (error.domain() != kSandboxDomain || is(error, SandboxError::kDivergedThread)) {
    return std::nullopt;
  }
  const std::int32_t number = error.code() >> kDetailShift;
  if (number <= 0) return std::nullopt;
  return static_cast<std::size_t>(number - 1);
}

}  // namespace vmm::sandbox
