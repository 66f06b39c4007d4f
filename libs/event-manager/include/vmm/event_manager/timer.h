// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "vmm/base/result.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/sys_util/timer_fd.h"

namespace vmm::event_manager {

/// A timer of an EventLoop, on the monotonic clock. Not armed when new; dropping it cancels it,
/// also from inside its own handler. Belongs to the loop's thread.
class Timer {
 public:
  /// Is told how often the timer expired since the last call, at least once.
  using Handler = std::function<void(std::uint64_t expirations)>;
  using Schedule = sys_util::TimerFd::Schedule;  ///< when it expires; see there

  /// Errors: EINVAL for an empty handler; those of timerfd_create(2) and EventLoop::add().
  static Result<Timer> create(EventLoop& loop, Handler handler);

  /// Starts the timer anew, whatever it did before. Expirations that the handler was not told of
  /// are forgotten. Errors: EINVAL for negative durations.
  Result<void> arm(const Schedule& schedule) { return fd_->arm(schedule); }
  /// Stops the timer; the handler is not called any more.
  Result<void> disarm() { return fd_->disarm(); }

 private:
  Timer(std::shared_ptr<const sys_util::TimerFd> fd, Registration registration)
      : fd_(std::move(fd)), registration_(std::move(registration)) {}

  std::shared_ptr<const sys_util::TimerFd> fd_;  // shared with the handler, which reads it
  Registration registration_;
};

}  // namespace vmm::event_manager
