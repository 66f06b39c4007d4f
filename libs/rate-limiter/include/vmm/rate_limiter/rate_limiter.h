// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>

#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/rate_limiter/token_bucket.h"
#include "vmm/sys_util/timer_fd.h"

namespace vmm::rate_limiter {

/// What a limiter allows: bytes and operations, each unlimited when its size is 0.
struct RateLimits {
  BucketConfig bandwidth;   ///< bytes
  BucketConfig operations;  ///< requests, packets
};

/// Two token buckets that belong together, for one device or for several: a group.
///
/// Threads: any, several at once.
class RateLimiter {
 public:
  using Clock = std::chrono::steady_clock;  ///< monotonic

  /// Both buckets are full at `now`, the one-time burst included.
  explicit RateLimiter(const RateLimits& limits, Clock::time_point now = Clock::now());

  /// Whether anything is limited at all.
  [[nodiscard]] bool is_limited() const;
  /// Takes tokens for work that is about to be done, from both buckets or from neither. 0: it may
  /// be done. Otherwise it has to wait at least that long, and to ask again.
  [[nodiscard]] std::chrono::nanoseconds consume(std::uint64_t operations, std::uint64_t bytes,
                                                 Clock::time_point now = Clock::now());
  /// Gives tokens back that were taken for work that was not done.
  void refund(std::uint64_t operations, std::uint64_t bytes);
  /// New limits, with full buckets.
  void update(const RateLimits& limits, Clock::time_point now = Clock::now());

 private:
  mutable Mutex mutex_;
  std::atomic<bool> limited_;
  TokenBucket bandwidth_ VMM_GUARDED_BY(mutex_);
  TokenBucket operations_ VMM_GUARDED_BY(mutex_);
};

/// One user of a RateLimiter, such as a queue: it is told by timer_fd() when to go on.
///
///   if (!gate.pass(1, request.bytes)) { put the request back; stop; }
///   ... timer_fd() becomes readable: gate.open(), serve again
///
/// Threads: one, but for the limiter, which others share.
class RateGate {
 public:
  /// A `limiter` of nullptr lets everything pass. Errors: those of timerfd_create(2).
  static Result<RateGate> create(std::shared_ptr<RateLimiter> limiter);

  /// Whether work may be done now. If not, the gate is shut until timer_fd() becomes readable.
  [[nodiscard]] bool pass(std::uint64_t operations, std::uint64_t bytes) {
    return limiter_ == nullptr || pass_slowly(operations, bytes);
  }
  /// Gives back what pass() took for work that was not done.
  void refund(std::uint64_t operations, std::uint64_t bytes) {
    if (limiter_ != nullptr) limiter_->refund(operations, bytes);
  }
  /// Whether pass() said no and open() was not called since.
  [[nodiscard]] bool is_shut() const { return shut_; }
  /// Ends the waiting: when timer_fd() is readable.
  void open();
  /// -1 when there is no limiter.
  [[nodiscard]] int timer_fd() const { return limiter_ == nullptr ? -1 : timer_.fd(); }

 private:
  RateGate(std::shared_ptr<RateLimiter> limiter, sys_util::TimerFd timer)
      : limiter_(std::move(limiter)), timer_(std::move(timer)) {}
  [[nodiscard]] bool pass_slowly(std::uint64_t operations, std::uint64_t bytes);

  std::shared_ptr<RateLimiter> limiter_;
  sys_util::TimerFd timer_;
  bool shut_ = false;
};

}  // namespace vmm::rate_limiter
