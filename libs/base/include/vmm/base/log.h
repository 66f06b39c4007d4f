// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <cstdint>
#include <string_view>

namespace vmm {

/// How much a line matters, the most first.
enum class LogLevel : std::uint8_t {
  kError,  ///< what was asked for failed
  kWarn,   ///< what goes on, but not as it should
  kInfo,   ///< what happens to the machine and its devices
  kDebug,  ///< where things are, and who asked for what
  kTrace,  ///< what a guest does that comes to nothing
};

/// Receives one finished line without a newline. Called from any thread; must not block for long.
using LogSink = void (*)(LogLevel level, std::string_view line);

/// Sets where log lines go; nullptr (the default) drops them: a library is silent by itself.
void set_log_sink(LogSink sink);
/// Lines above this level are dropped before they are formatted. Default: kWarn.
void set_log_level(LogLevel level);

/// Whether lines of this level are let through by set_log_level() and there is a sink.
[[nodiscard]] bool log_enabled(LogLevel level);
/// Formats into a 256-byte buffer on the stack (longer lines are cut) and calls the sink.
void log_line(LogLevel level, const char* format, ...) __attribute__((format(printf, 2, 3)));

/// Lets through a burst of 10 lines and then one a second; one static object per call site.
/// It counts what it dropped. Thread-safe.
class LogLimiter {
 public:
  /// Whether a line may be written now; if so, `dropped` is how many were not since the last one.
  [[nodiscard]] bool admit(std::uint64_t* dropped);
  /// The same at a time given in nanoseconds, for tests.
  [[nodiscard]] bool admit_at(std::uint64_t now_ns, std::uint64_t* dropped);

 private:
  std::atomic<std::uint64_t> credit_until_ns_{0};
  std::atomic<std::uint64_t> dropped_{0};
};

}  // namespace vmm

/// VMM_LOG(kWarn, "queue %u: %s", index, text);
#define VMM_LOG(level, ...)                                 \
  do {                                                      \
    if (::vmm::log_enabled(::vmm::LogLevel::level))         \
      ::vmm::log_line(::vmm::LogLevel::level, __VA_ARGS__); \
  } while (false)

/// The same for what a guest, a peer or a file can cause: rate limited per call site.
#define VMM_LOG_GUEST(level, ...)                                               \
  do {                                                                          \
    if (::vmm::log_enabled(::vmm::LogLevel::level)) {                           \
      static constinit ::vmm::LogLimiter vmm_log_limiter;                       \
      std::uint64_t vmm_log_dropped = 0;                                        \
      if (vmm_log_limiter.admit(&vmm_log_dropped)) {                            \
        if (vmm_log_dropped != 0)                                               \
          ::vmm::log_line(::vmm::LogLevel::level, "%llu similar lines dropped", \
                          static_cast<unsigned long long>(vmm_log_dropped));    \
        ::vmm::log_line(::vmm::LogLevel::level, __VA_ARGS__);                   \
      }                                                                         \
    }                                                                           \
  } while (false)
