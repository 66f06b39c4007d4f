// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/rate_limiter/rate_limiter.h"

#include <algorithm>
#include <utility>

namespace vmm::rate_limiter {
namespace {

/// Waking up more often than this would cost more than it gives.
constexpr std::chrono::nanoseconds kShortestWait = std::chrono::milliseconds(1);
/// Others may have changed the limits meanwhile, and nobody tells.
constexpr std::chrono::nanoseconds kLongestWait = std::chrono::seconds(1);

bool any(const RateLimits& limits) {
  return limits.bandwidth.is_limit() || limits.operations.is_limit();
}

}  // namespace

RateLimiter::RateLimiter(const RateLimits& limits, Clock::time_point now)
    : limited_(any(limits)),
      bandwidth_(limits.bandwidth, now),
      operations_(limits.operations, now) {}

bool RateLimiter::is_limited() const { return limited_.load(std::memory_order_relaxed); }

std::chrono::nanoseconds RateLimiter::consume(std::uint64_t operations, std::uint64_t bytes,
                                              Clock::time_point now) {
  const MutexLock lock(mutex_);
  const std::chrono::nanoseconds wait =
      std::max(bandwidth_.wait_for(bytes, now), operations_.wait_for(operations, now));
  if (wait.count() != 0) return wait;
  bandwidth_.take(bytes);
  operations_.take(operations);
  return wait;
}

void RateLimiter::refund(std::uint64_t operations, std::uint64_t bytes) {
  const MutexLock lock(mutex_);
  bandwidth_.put_back(bytes);
  operations_.put_back(operations);
}

void RateLimiter::update(const RateLimits& limits, Clock::time_point now) {
  const MutexLock lock(mutex_);
  bandwidth_ = TokenBucket(limits.bandwidth, now);
  operations_ = TokenBucket(limits.operations, now);
  limited_.store(any(limits), std::memory_order_relaxed);
}

Result<RateGate> RateGate::create(std::shared_ptr<RateLimiter> limiter) {
  VMM_TRY(sys_util::TimerFd timer, sys_util::TimerFd::create());
  return RateGate(std::move(limiter), std::move(timer));
}

bool RateGate::pass_slowly(std::uint64_t operations, std::uint64_t bytes) {
  if (!limiter_->is_limited()) return true;
  const std::chrono::nanoseconds wait = limiter_->consume(operations, bytes);
  if (wait.count() == 0) return true;
  shut_ = true;
  (void)timer_.arm({.after = std::clamp(wait, kShortestWait, kLongestWait)});
  return false;
}

void RateGate::open() {
  (void)timer_.take();
  shut_ = false;
}

}  // namespace vmm::rate_limiter
