// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <string>

#include "config.h"
#include "failure.h"

namespace vmm::reference {

/// What becomes of system calls that a thread has no need for.
enum class SeccompMode : std::uint8_t {
  kTrap,   ///< the process ends
  kOff,    ///< they are made: there are no filters
  kLog,    ///< they are made, and the kernel's log tells of them
  kErrno,  ///< they fail
};

/// The value of --seccomp.
Outcome<SeccompMode> parse_seccomp(const std::string& text);
/// A value of --seccomp that means it.
[[nodiscard]] const char* name_of(SeccompMode mode);

/// The value of --landlock-rules; its path may be anything.
Outcome<LandlockRule> parse_landlock_rule(const std::string& text);
/// Whether its path is there. For a thread that may look at files.
Outcome<void> check_landlock_rule(const LandlockRule& rule);

}  // namespace vmm::reference
