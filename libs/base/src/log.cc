// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/base/log.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdarg>
#include <cstdio>

namespace vmm {
namespace {

constinit std::atomic<LogSink> g_sink{nullptr};
constinit std::atomic<LogLevel> g_level{LogLevel::kWarn};

constexpr std::uint64_t kSecond = 1'000'000'000;
constexpr std::uint64_t kBurst = 10;

}  // namespace

void set_log_sink(LogSink sink) { g_sink.store(sink, std::memory_order_release); }
void set_log_level(LogLevel level) { g_level.store(level, std::memory_order_relaxed); }

bool log_enabled(LogLevel level) {
  return level <= g_level.load(std::memory_order_relaxed) &&
         g_sink.load(std::memory_order_relaxed) != nullptr;
}

void log_line(LogLevel level, const char* format, ...) {
  const LogSink sink = g_sink.load(std::memory_order_acquire);
  if (sink == nullptr) return;
  std::array<char, 256> line{};
  va_list args;
  va_start(args, format);
  const int length = std::vsnprintf(line.data(), line.size(), format, args);
  va_end(args);
  if (length < 0) return;
  sink(level, {line.data(), std::min(static_cast<std::size_t>(length), line.size() - 1)});
}

bool LogLimiter::admit(std::uint64_t* dropped) {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return admit_at(
      static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::nanoseconds>(now).count()),
      dropped);
}

// A token bucket as one number: the time at which all credit would be used up. A line costs a
// second; the debt may not pass kBurst seconds beyond now.
bool LogLimiter::admit_at(std::uint64_t now_ns, std::uint64_t* dropped) {
  std::uint64_t until = credit_until_ns_.load(std::memory_order_relaxed);
  for (;;) {
    const std::uint64_t next = std::max(until, now_ns) + kSecond;
    if (next > now_ns + kBurst * kSecond) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return false;
    }
    if (credit_until_ns_.compare_exchange_weak(until, next, std::memory_order_relaxed)) break;
  }
  *dropped = dropped_.exchange(0, std::memory_order_relaxed);
  return true;
}

}  // namespace vmm
