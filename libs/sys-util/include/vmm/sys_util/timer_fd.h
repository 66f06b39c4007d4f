// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <chrono>
#include <cstdint>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace vmm::sys_util {

/// A timer on the monotonic clock that wakes pollers; see timerfd_create(2). Non-blocking and
/// close-on-exec. A new timer is not armed.
///
/// Thread-safety: all functions may be called from any thread.
class TimerFd {
 public:
  /// When a timer expires.
  struct Schedule {
    std::chrono::nanoseconds after;     ///< until the first expiration; 0 means at once
    std::chrono::nanoseconds every{0};  ///< between further ones; 0 for a single shot
  };

  /// Errors: the errno of timerfd_create(2).
  static Result<TimerFd> create();

  /// Starts the timer, whatever it did before, and forgets expirations that were not taken.
  /// Errors: EINVAL for negative durations.
  Result<void> arm(const Schedule& schedule) const;
  /// Stops the timer and forgets expirations that were not taken.
  Result<void> disarm() const;
  /// How often the timer expired since the last call; 0 when it did not.
  Result<std::uint64_t> take() const;
  /// Whether an expiration is still to come. A single shot that went off is not armed.
  Result<bool> is_armed() const;

  /// The descriptor, borrowed; readable while there are expirations to take.
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  explicit TimerFd(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace vmm::sys_util
