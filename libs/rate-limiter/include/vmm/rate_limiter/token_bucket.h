// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <chrono>
#include <cstdint>

namespace vmm::rate_limiter {

/// How many tokens there are.
struct BucketConfig {
  std::uint64_t size = 0;            ///< tokens that fit in; 0: no limit
  std::uint64_t one_time_burst = 0;  ///< further ones, at the start only
  std::uint64_t refill_ms = 0;       ///< until an empty bucket is full again; 0: no limit

  /// Whether anything is limited: neither the size nor the time is 0.
  [[nodiscard]] bool is_limit() const { return size != 0 && refill_ms != 0; }
};

/// A bucket of tokens that refills steadily. Exact: no tokens are lost to rounding, however often
/// it is asked.
///
/// More tokens than the bucket holds can be taken at once when it is full; it owes them then, and
/// gives no further ones before the debt is paid. So no request waits for ever.
///
/// Threads: one at a time.
class TokenBucket {
 public:
  using TimePoint = std::chrono::steady_clock::time_point;  ///< monotonic

  /// Full at `now`, the one-time burst included.
  TokenBucket(const BucketConfig& config, TimePoint now);

  /// As BucketConfig::is_limit(). Without a limit tokens can always be taken.
  [[nodiscard]] bool is_limit() const { return config_.is_limit(); }
  /// 0 when `tokens` can be taken at `now`, else how long it takes until they can.
  [[nodiscard]] std::chrono::nanoseconds wait_for(std::uint64_t tokens, TimePoint now);
  /// Takes them. Precondition: wait_for(tokens, now) was 0.
  void take(std::uint64_t tokens);
  /// Puts tokens back.
  void put_back(std::uint64_t tokens);

  /// Tokens there at the last wait_for(), less those taken since; negative ones (a debt) count as
  /// 0.
  [[nodiscard]] std::uint64_t available() const { return burst_ + level_; }

 private:
  void refill(TimePoint now);

  BucketConfig config_;
  std::uint64_t burst_;
  std::uint64_t level_;     // tokens, at most config_.size
  std::uint64_t debt_ = 0;  // tokens taken beyond that
  TimePoint refilled_;      // when level_ and debt_ were right
  std::uint64_t rest_ = 0;  // a part of a token, in 1 / (refill time in ns)
};

}  // namespace vmm::rate_limiter
