// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>

#include "config.h"
#include "vmm/rate_limiter/rate_limiter.h"

namespace vmm::reference {

/// The limiter that the keys ask for; nullptr when they limit nothing.
[[nodiscard]] inline std::shared_ptr<rate_limiter::RateLimiter> make_limiter(
    const RateLimitConfig& config) {
  if (!config.limits()) return nullptr;
  const auto bucket = [](const RateLimitConfig::Bucket& keys) {
    return rate_limiter::BucketConfig{
        .size = keys.size, .one_time_burst = keys.one_time_burst, .refill_ms = keys.refill_ms};
  };
  return std::make_shared<rate_limiter::RateLimiter>(rate_limiter::RateLimits{
      .bandwidth = bucket(config.bandwidth), .operations = bucket(config.ops)});
}

}  // namespace vmm::reference
