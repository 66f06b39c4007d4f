// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/rate_limiter/token_bucket.h"

#include <catch2/catch.hpp>
#include <limits>
#include <vector>

namespace vmm::rate_limiter {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
constexpr TokenBucket::TimePoint kStart{std::chrono::hours(1)};

/// At `at_us` after the start, `tokens` are asked for, and taken if they may be.
struct Step {
  std::uint64_t at_us;
  std::uint64_t tokens;
  std::uint64_t wait_us;  // 0: taken
};

struct Case {
  const char* rule;
  BucketConfig config;
  std::vector<Step> steps;
};

const std::vector<Case> kCases = {
    {"no size: no limit", {.refill_ms = 1}, {{0, kMost, 0}, {0, kMost, 0}}},
    {"no refill time: no limit", {.size = 10}, {{0, kMost, 0}, {0, kMost, 0}}},
    {"a full bucket at first", {.size = 1000, .refill_ms = 1000}, {{0, 1000, 0}, {0, 1, 1000}}},
    {"nothing is always there", {.size = 10, .refill_ms = 10}, {{0, 0, 0}, {0, 10, 0}, {0, 0, 0}}},
    {"refills steadily",
     {.size = 1000, .refill_ms = 1000},
     {{0, 1000, 0}, {1000, 1, 0}, {1000, 1, 1000}, {5000, 4, 0}, {5500, 1, 500}}},
    {"no more than the bucket holds",
     {.size = 1000, .refill_ms = 1000},
     {{0, 1000, 0}, {60'000'000, 1000, 0}, {60'000'000, 1, 1000}}},
    {"all or nothing: what does not fit is not begun",
     {.size = 100, .refill_ms = 100},
     {{0, 60, 0}, {0, 50, 10'000}, {0, 40, 0}, {0, 1, 1000}}},
    {"the burst comes first, and once",
     {.size = 100, .one_time_burst = 50, .refill_ms = 100},
     {{0, 150, 0}, {0, 1, 1000}, {1'000'000, 100, 0}, {1'000'000, 1, 1000}}},
    {"the burst does not refill",
     {.size = 100, .one_time_burst = 1000, .refill_ms = 100},
     {{0, 400, 0}, {0, 600, 0}, {0, 100, 0}, {0, 1, 1000}}},
    {"the burst stays until it is needed",
     {.size = 100, .one_time_burst = 100, .refill_ms = 100},
     {{0, 50, 0}, {1'000'000'000, 150, 0}, {1'000'000'000, 1, 1000}}},
    {"more than the bucket holds: once it is full, and paid for afterwards",
     {.size = 100, .refill_ms = 100},
     {{0, 300, 0}, {0, 1, 201'000}, {100'000, 1, 101'000}, {200'000, 1, 1000}, {201'000, 1, 0}}},
    {"more than the bucket holds waits for a full one",
     {.size = 100, .refill_ms = 100},
     {{0, 10, 0}, {0, 300, 10'000}, {9'000, 300, 1000}, {10'000, 300, 0}}},
    {"a debt is paid before a second large one",
     {.size = 100, .refill_ms = 100},
     {{0, 200, 0}, {0, 200, 200'000}, {200'000, 200, 0}}},
    {"time that goes backwards gives nothing",
     {.size = 1000, .refill_ms = 1000},
     {{5000, 1000, 0}, {4000, 1, 1000}, {6000, 1, 0}}},
    {"the largest numbers",
     {.size = kMost, .one_time_burst = kMost, .refill_ms = kMost},
     {{0, kMost, 0}, {0, kMost, 0}}},
};

TEST_CASE("a token bucket keeps its rules", "[token-bucket]") {
  for (const Case& one : kCases) {
    TokenBucket bucket(one.config, kStart);
    for (std::size_t i = 0; i < one.steps.size(); ++i) {
      const Step& step = one.steps[i];
      const auto now = kStart + std::chrono::microseconds(step.at_us);
      const nanoseconds wait = bucket.wait_for(step.tokens, now);
      INFO(one.rule << ", step " << i);
      CHECK(wait == std::chrono::microseconds(step.wait_us));
      if (wait.count() == 0) bucket.take(step.tokens);
    }
  }
}

TEST_CASE("after the wait that it told, the tokens are there, and not before", "[token-bucket]") {
  const BucketConfig config = GENERATE(
      BucketConfig{.size = 3, .refill_ms = 7}, BucketConfig{.size = 1'000'003, .refill_ms = 997},
      BucketConfig{.size = kMost, .refill_ms = 1}, BucketConfig{.size = 1, .refill_ms = 100'000});
  const std::uint64_t tokens = GENERATE(1u, 2u, 1000u);
  TokenBucket bucket(config, kStart);
  auto now = kStart;
  bucket.take(config.size);
  for (int i = 0; i < 50; ++i) {
    const nanoseconds wait = bucket.wait_for(tokens, now);
    if (wait.count() != 0) {
      CHECK(bucket.wait_for(tokens, now + wait - nanoseconds(1)).count() != 0);
      now += wait;
    }
    REQUIRE(bucket.wait_for(tokens, now).count() == 0);
    bucket.take(tokens);
  }
}

TEST_CASE("no token is lost to rounding, however often it is asked", "[token-bucket]") {
  // 7 tokens in 3 ms are no whole number of nanoseconds for each.
  const nanoseconds step = GENERATE(nanoseconds(1), nanoseconds(997), nanoseconds(100'003));
  TokenBucket bucket({.size = 7, .refill_ms = 3}, kStart);
  bucket.take(7);
  std::uint64_t taken = 0;
  const auto end = kStart + milliseconds(3) * (step.count() == 1 ? 1 : 100);
  for (auto now = kStart; now <= end; now += step) {
    while (bucket.wait_for(1, now).count() == 0) {
      bucket.take(1);
      ++taken;
    }
  }
  const auto whole = static_cast<std::uint64_t>((end - kStart) / milliseconds(3)) * 7;
  CHECK(taken <= whole);
  CHECK(taken + 1 >= whole);
}

TEST_CASE("tokens are put back up to what the bucket holds, and debts first", "[token-bucket]") {
  TokenBucket bucket({.size = 100, .refill_ms = 100}, kStart);
  bucket.take(150);
  bucket.put_back(60);
  CHECK(bucket.available() == 10);
  CHECK(bucket.wait_for(10, kStart).count() == 0);
  bucket.put_back(kMost);
  CHECK(bucket.available() == 100);
}

TEST_CASE("a debt has no end that wraps around", "[token-bucket]") {
  TokenBucket bucket({.size = 1, .refill_ms = 1}, kStart);
  bucket.take(kMost);
  bucket.take(kMost);
  CHECK(bucket.wait_for(1, kStart) == nanoseconds::max());
}

}  // namespace
}  // namespace vmm::rate_limiter
