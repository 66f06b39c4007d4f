// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/rate_limiter/token_bucket.h"

#include <algorithm>
#include <limits>

namespace vmm::rate_limiter {
namespace {

__extension__ using Wide = unsigned __int128;

constexpr std::uint64_t kMaxRefillMs = std::uint64_t{1} << 42;  // 139 years
constexpr std::uint64_t kNsPerMs = 1'000'000;

std::uint64_t saturating_add(std::uint64_t a, std::uint64_t b) {
  std::uint64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? std::numeric_limits<std::uint64_t>::max() : sum;
}

}  // namespace

TokenBucket::TokenBucket(const BucketConfig& config, TimePoint now)
    : config_(config), burst_(config.one_time_burst), level_(config.size), refilled_(now) {
  config_.refill_ms = std::min(config_.refill_ms, kMaxRefillMs);
}

// `size` tokens in `period` ns: ns * size / period of them in ns nanoseconds. What does not make a
// whole token is kept for the next time.
void TokenBucket::refill(TimePoint now) {
  if (now <= refilled_) return;
  const auto ns = static_cast<std::uint64_t>((now - refilled_).count());
  const std::uint64_t period = config_.refill_ms * kNsPerMs;
  refilled_ = now;
  const Wide parts = Wide{ns} * config_.size + rest_;
  const Wide tokens = parts / period;
  const Wide room = Wide{config_.size - level_} + debt_;
  if (tokens >= room) {
    debt_ = 0;
    level_ = config_.size;
    rest_ = 0;
    return;
  }
  rest_ = static_cast<std::uint64_t>(parts % period);
  const auto fresh = static_cast<std::uint64_t>(tokens);
  const std::uint64_t paid = std::min(fresh, debt_);
  debt_ -= paid;
  level_ += fresh - paid;
}

std::chrono::nanoseconds TokenBucket::wait_for(std::uint64_t tokens, TimePoint now) {
  if (!is_limit()) return std::chrono::nanoseconds(0);
  refill(now);
  // More than the bucket holds: a full one is enough.
  const std::uint64_t want =
      tokens > burst_ ? std::min(tokens - burst_, config_.size) : std::uint64_t{0};
  if (debt_ == 0 && want <= level_) return std::chrono::nanoseconds(0);
  const Wide missing = Wide{debt_} + (want > level_ ? want - level_ : 0);
  const Wide period = Wide{config_.refill_ms} * kNsPerMs;
  const Wide parts = missing * period;
  const Wide ns = (parts - std::min(parts, Wide{rest_}) + config_.size - 1) / config_.size;
  const auto longest = static_cast<Wide>(std::chrono::nanoseconds::max().count());
  return std::chrono::nanoseconds(
      std::max<std::int64_t>(1, static_cast<std::int64_t>(std::min(ns, longest))));
}

void TokenBucket::take(std::uint64_t tokens) {
  if (!is_limit()) return;
  const std::uint64_t from_burst = std::min(tokens, burst_);
  burst_ -= from_burst;
  tokens -= from_burst;
  const std::uint64_t from_level = std::min(tokens, level_);
  level_ -= from_level;
  debt_ = saturating_add(debt_, tokens - from_level);
}

void TokenBucket::put_back(std::uint64_t tokens) {
  const std::uint64_t paid = std::min(tokens, debt_);
  debt_ -= paid;
  level_ += std::min(tokens - paid, config_.size - level_);
}

}  // namespace vmm::rate_limiter
