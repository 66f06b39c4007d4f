// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "vmm/base/result.h"

namespace vmm::sandbox {

/// What is told, and done, before a forbidden system call ends the process.
struct LastWords {
  /// How the program lets the user look for the call: "--seccomp log lets it pass, and tells".
  /// A string literal.
  const char* hint = "";
  /// Called last, in a signal handler: async-signal-safe. nullptr: nothing.
  void (*before_the_end)() = nullptr;
};

/// From now on a system call that a filter traps prints one line to standard error: the call's
/// number (of ioctl(2) the request as well), the thread, the hint. Then the process dies from
/// SIGSYS. For the whole process; before there are filters. Errors: those of sigaction(2).
Result<void> tell_of_forbidden_calls(const LastWords& words);

}  // namespace vmm::sandbox
