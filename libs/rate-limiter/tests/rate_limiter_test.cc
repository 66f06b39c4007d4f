// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/rate_limiter/rate_limiter.h"

#include <poll.h>

#include <catch2/catch.hpp>
#include <thread>
#include <vector>

namespace vmm::rate_limiter {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

constexpr RateLimiter::Clock::time_point kStart{std::chrono::hours(1)};
constexpr BucketConfig kNone{};

RateLimits limits(const BucketConfig& bandwidth, const BucketConfig& operations) {
  return {.bandwidth = bandwidth, .operations = operations};
}

TEST_CASE("without limits everything passes", "[rate-limiter]") {
  RateLimiter limiter(limits(kNone, kNone), kStart);
  CHECK_FALSE(limiter.is_limited());
  CHECK(limiter.consume(~0ull, ~0ull, kStart).count() == 0);
  CHECK(limiter.consume(~0ull, ~0ull, kStart).count() == 0);
}

TEST_CASE("tokens are taken from both buckets or from neither", "[rate-limiter]") {
  RateLimiter limiter(limits({.size = 1000, .refill_ms = 1000}, {.size = 2, .refill_ms = 1000}),
                      kStart);
  CHECK(limiter.is_limited());
  CHECK(limiter.consume(1, 900, kStart).count() == 0);
  // Too few bytes: the operation stays.
  CHECK(limiter.consume(1, 200, kStart) == milliseconds(100));
  CHECK(limiter.consume(1, 200, kStart) == milliseconds(100));
  CHECK(limiter.consume(1, 100, kStart).count() == 0);
  // Too few operations: the bytes stay; the longer of two waits counts.
  CHECK(limiter.consume(1, 500, kStart) == milliseconds(500));
  CHECK(limiter.consume(1, 1, kStart) == milliseconds(500));
  CHECK(limiter.consume(1, 500, kStart + milliseconds(500)).count() == 0);
}

TEST_CASE("what was not done is given back", "[rate-limiter]") {
  RateLimiter limiter(limits({.size = 100, .refill_ms = 100}, {.size = 1, .refill_ms = 100}),
                      kStart);
  CHECK(limiter.consume(1, 100, kStart).count() == 0);
  CHECK(limiter.consume(1, 100, kStart).count() != 0);
  limiter.refund(1, 100);
  CHECK(limiter.consume(1, 100, kStart).count() == 0);
}

TEST_CASE("new limits begin with full buckets", "[rate-limiter]") {
  RateLimiter limiter(limits({.size = 10, .refill_ms = 1000}, kNone), kStart);
  CHECK(limiter.consume(1, 10, kStart).count() == 0);
  CHECK(limiter.consume(1, 1, kStart).count() != 0);
  limiter.update(limits({.size = 20, .one_time_burst = 5, .refill_ms = 1000}, kNone), kStart);
  CHECK(limiter.consume(1, 25, kStart).count() == 0);
  CHECK(limiter.consume(1, 1, kStart) == milliseconds(50));
  limiter.update(limits(kNone, kNone), kStart);
  CHECK_FALSE(limiter.is_limited());
  CHECK(limiter.consume(1, ~0ull, kStart).count() == 0);
}

TEST_CASE("a group gets together what one gets alone", "[rate-limiter]") {
  // A clock that each thread moves on by itself would not be one: it stands still.
  RateLimiter limiter(
      limits({.size = 1'000'000, .refill_ms = 1000}, {.size = 5000, .refill_ms = 1}), kStart);
  std::vector<std::thread> threads;
  std::atomic<std::uint64_t> bytes = 0;
  for (unsigned i = 0; i < 4; ++i) {
    threads.emplace_back([&limiter, &bytes, i] {
      for (int tries = 0; tries < 5000; ++tries) {
        if (limiter.consume(1, 100 + i, kStart).count() == 0) bytes += 100 + i;
        if (tries % 100 == 99 && limiter.is_limited()) limiter.refund(0, 0);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  // The operations are over before the bytes are.
  CHECK(bytes >= 5000 * 100);
  CHECK(bytes <= 5000 * 103);
  CHECK(limiter.consume(1, 0, kStart).count() != 0);
}

TEST_CASE("limits may change while others ask", "[rate-limiter]") {
  const auto limiter = std::make_shared<RateLimiter>(limits(kNone, kNone));
  std::thread changer([&limiter] {
    for (std::uint64_t i = 0; i < 2000; ++i) {
      limiter->update(limits({.size = i % 3 * 1000, .refill_ms = 1}, kNone));
    }
    limiter->update(limits({.size = 300, .refill_ms = 1'000'000}, kNone));
  });
  auto gate = *RateGate::create(limiter);
  for (int i = 0; i < 20000; ++i) {
    if (!gate.pass(1, 100)) gate.open();
  }
  changer.join();
  // The last one counts, and nothing of those before.
  int passed = 0;
  while (passed < 10 && limiter->consume(1, 100).count() == 0) ++passed;
  CHECK(passed <= 3);
}

TEST_CASE("a gate is open without a limiter", "[rate-limiter]") {
  auto gate = *RateGate::create(nullptr);
  CHECK(gate.timer_fd() == -1);
  CHECK(gate.pass(~0ull, ~0ull));
  gate.refund(1, 1);
  CHECK_FALSE(gate.is_shut());
}

TEST_CASE("a shut gate tells when to go on", "[rate-limiter]") {
  const auto limiter =
      std::make_shared<RateLimiter>(limits({.size = 100, .refill_ms = 3'600'000}, kNone));
  auto gate = *RateGate::create(limiter);
  auto other = *RateGate::create(limiter);
  CHECK(gate.pass(1, 100));
  CHECK_FALSE(gate.pass(1, 100));
  CHECK(gate.is_shut());
  // What one took, the other has not.
  CHECK_FALSE(other.pass(1, 100));
  gate.open();
  limiter->update(limits({.size = 100, .refill_ms = 20}, kNone));
  while (gate.pass(1, 100)) continue;  // more than once where 20 ms pass in between
  CHECK(gate.is_shut());
  pollfd ready{.fd = gate.timer_fd(), .events = POLLIN, .revents = 0};
  REQUIRE(::poll(&ready, 1, 60'000) == 1);
  gate.open();
  CHECK_FALSE(gate.is_shut());
  CHECK(::poll(&ready, 1, 0) == 0);
  CHECK(gate.pass(1, 100));
}

}  // namespace
}  // namespace vmm::rate_limiter
