// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "vmm/base/error.h"

namespace vmm::sandbox {

/// What this library itself finds wrong; everything else is an errno of the kernel.
enum class SandboxError : std::uint8_t {
  kUnknownCall = 1,  ///< a rule names a system call that no architecture has
  kTooManyRules,     ///< a filter with more rules than kMaxRules, or longer than the kernel takes
  kNoSeccomp,        ///< the kernel has no filters of system calls
  kNoLandlock,       ///< the kernel has no Landlock, or it is switched off
  kOldLandlock,      ///< its Landlock is older than what is asked for
  kBadArgument,      ///< a rule compares an argument beyond the sixth, or one of them twice
  kDivergedThread,   ///< another thread has filters of its own; see diverged_thread()
  kBadErrno,         ///< a rule fails with a number that is no errno value
};

/// Control-path form of the error.
[[nodiscard]] Error make_error(SandboxError error);
/// kDivergedThread for the thread with this id.
[[nodiscard]] Error make_diverged_thread(std::int32_t thread);
/// kUnknownCall, kBadArgument or kBadErrno for the rule at this index of a table.
[[nodiscard]] Error make_bad_rule(SandboxError error, std::size_t index);
/// Whether `error` is `which`, whatever else it tells.
[[nodiscard]] bool is(const Error& error, SandboxError which);
/// The id of the thread that a kDivergedThread is about; nullopt for other errors.
[[nodiscard]] std::optional<std::int32_t> diverged_thread(const Error& error);
/// The index of the rule that compile() found wrong; nullopt for other errors.
[[nodiscard]] std::optional<std::size_t> bad_rule(const Error& error);

}  // namespace vmm::sandbox
