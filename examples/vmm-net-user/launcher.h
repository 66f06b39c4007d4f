// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <sys/types.h>

#include <span>
#include <string>

#include "vmm/base/result.h"

namespace vmm::net_user {

/// Begins a process that starts programs for this one: vmm-net-user, and no others. What this
/// process gives up from now on, it may do without.
///
/// Call while there is one thread; not twice. The process ends with this one.
/// Errors: those of socketpair(2) and fork(2).
Result<void> begin_launcher();

/// Starts vmm-net-user with `arguments`, the first of which is its name, and with `socket` as
/// descriptor kGuestSocket beside the standard ones. Without begin_launcher(), this process does it
/// itself. One thread at a time.
/// Errors: those of posix_spawn(3); EPIPE when the launcher has gone.
Result<pid_t> launch(std::span<const std::string> arguments, int socket);
/// Ends what launch() has started, and waits for its end.
void end_launched(pid_t process);

inline constexpr int kGuestSocket = 3;
inline constexpr const char* kProgram = "vmm-net-user";

}  // namespace vmm::net_user
