// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "vmm/base/result.h"

// Signal numbers, handlers and masks. Numbers are those of signal(7); every function refuses
// numbers that are not valid (see is_valid_signal) with EINVAL.

namespace vmm::sys_util {

/// Whether `number` can be used: a standard signal (1 to 31) or a realtime signal between
/// SIGRTMIN and SIGRTMAX. The numbers in between belong to the C library.
[[nodiscard]] bool is_valid_signal(int number);

/// The realtime signal SIGRTMIN + `offset`. Errors: EINVAL when that is not a realtime signal.
Result<int> realtime_signal(int offset);

/// Runs in the interrupted thread and may call async-signal-safe functions only;
/// see signal-safety(7).
using SignalHandler = void (*)(int number);

/// Sets the handler of the process. System calls that the signal interrupts return EINTR.
/// Errors: EINVAL for signals that cannot be caught (SIGKILL, SIGSTOP).
Result<void> set_signal_handler(int number, SignalHandler handler);
/// Installs a handler that does nothing: the signal then only interrupts system calls, which is
/// what kicking a vCPU out of KVM_RUN needs.
Result<void> set_empty_signal_handler(int number);
/// Gives the signal back its default action.
Result<void> reset_signal_handler(int number);
/// Discards the signal, for example SIGPIPE.
Result<void> ignore_signal(int number);

/// Keeps the signal pending instead of delivering it to the calling thread.
/// Errors: EALREADY when it is blocked already.
Result<void> block_signal(int number);
/// Lets the calling thread get the signal again; not an error when it was not blocked.
Result<void> unblock_signal(int number);
/// Whether the calling thread blocks the signal.
Result<bool> is_signal_blocked(int number);
/// Discards all pending instances of a signal that the calling thread blocks.
Result<void> drain_signal(int number);

/// A thread of this process, for signal_thread(). Stays safe to use after the thread's end.
struct ThreadId {
  int tid;  ///< see gettid(2)

  /// The calling thread.
  [[nodiscard]] static ThreadId current();
};

/// Sends a signal to one thread of this process. Errors: ESRCH when the thread is gone.
Result<void> signal_thread(ThreadId thread, int number);

}  // namespace vmm::sys_util
