// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <optional>
#include <span>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace vmm::sys_util {

/// Receives signals as readable events instead of handlers; see signalfd(2). Non-blocking and
/// close-on-exec.
class SignalFd {
 public:
  /// One pending signal.
  struct Received {
    int number;      ///< see signal(7)
    int sender_pid;  ///< 0 when the kernel sent it
  };

  /// Blocks `signals` in the calling thread (and so in the threads it starts later) and receives
  /// them here. They stay blocked when the object goes away, so that none of them hits its default
  /// action unseen. Call before starting threads: a thread that does not block a signal takes it.
  /// Errors: EINVAL for numbers that are not valid, and for SIGKILL and SIGSTOP.
  static Result<SignalFd> create(std::span<const int> signals);

  /// The next pending signal; nullopt when there is none.
  Result<std::optional<Received>> take() const;

  /// The descriptor, borrowed; readable while a signal is pending for the reading thread.
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  explicit SignalFd(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace vmm::sys_util
