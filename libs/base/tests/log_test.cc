// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/base/log.h"

#include <catch2/catch.hpp>
#include <string>
#include <vector>

namespace vmm {
namespace {

std::vector<std::string> lines;

TEST_CASE("lines reach the sink up to the level that was set, cut at 255 bytes", "[log]") {
  VMM_LOG(kError, "nobody hears this");
  lines.clear();
  set_log_sink([](LogLevel, std::string_view line) { lines.emplace_back(line); });
  VMM_LOG(kWarn, "queue %d", 3);
  VMM_LOG(kInfo, "too fine");
  VMM_LOG(kError, "%s", std::string(1000, 'x').c_str());
  set_log_sink(nullptr);
  VMM_LOG(kError, "nobody hears this either");
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] == "queue 3");
  CHECK(lines[1] == std::string(255, 'x'));
}

TEST_CASE("a guest can cause ten lines at once and then one a second", "[log][hostile]") {
  LogLimiter limiter;
  constexpr std::uint64_t kSecond = 1'000'000'000;
  constexpr std::uint64_t kNow = 1000 * kSecond;
  std::uint64_t dropped = 0;
  for (int i = 0; i < 10; ++i) CHECK(limiter.admit_at(kNow, &dropped));
  for (int i = 0; i < 100; ++i) CHECK_FALSE(limiter.admit_at(kNow, &dropped));
  CHECK(limiter.admit_at(kNow + kSecond, &dropped));
  CHECK(dropped == 100);
  CHECK_FALSE(limiter.admit_at(kNow + kSecond, &dropped));
}

}  // namespace
}  // namespace vmm
