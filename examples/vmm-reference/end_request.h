// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "failure.h"
#include "vmm/sys_util/signal_fd.h"

namespace vmm::reference {

/// Blocks the signals that end the process, for all threads that are yet to begin. The control loop
/// takes them from what this returns; until it does, those who wait for something of the host ask
/// end_is_asked(). Once a process.
Outcome<sys_util::SignalFd> receive_ends();

/// Whether such a signal has come that the control loop has not taken yet. From any thread; false
/// before receive_ends(), and once its result is gone.
[[nodiscard]] bool end_is_asked();
/// Before the result of receive_ends() goes.
void forget_ends();

}  // namespace vmm::reference
