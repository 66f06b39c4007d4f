// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

namespace vmm::vm_superio {

/// Where a real-time clock device takes the time from. Threads: any, at once.
class WallClock {
 public:
  virtual ~WallClock() = default;
  WallClock(const WallClock&) = delete;
  WallClock& operator=(const WallClock&) = delete;

  /// Seconds since 1970-01-01 00:00 UTC; may lag nanoseconds() by a few milliseconds.
  [[nodiscard]] virtual std::int64_t seconds() const = 0;
  /// Nanoseconds since the same moment.
  [[nodiscard]] virtual std::int64_t nanoseconds() const = 0;

 protected:
  WallClock() = default;
};

/// The host's CLOCK_REALTIME.
class HostClock final : public WallClock {
 public:
  [[nodiscard]] std::int64_t seconds() const override;
  [[nodiscard]] std::int64_t nanoseconds() const override;
};

}  // namespace vmm::vm_superio
