// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/virtio_device/request_device.h"

namespace vmm::virtio_rtc {

/// What a clock counts: the clock types of the device's specification (virtio 1.4, RTC device).
enum class ClockType : std::uint8_t {
  kUtc = 0,
  kTai = 1,
  kMonotonic = 2,
  kUtcSmeared = 3,
  kUtcMaybeSmeared = 4,
};

/// A clock that the driver can read.
///
/// Threads: read() is called by the device's worker.
class Clock {
 public:
  virtual ~Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;

  /// What the driver is told that the clock counts. Constant.
  [[nodiscard]] virtual ClockType type() const = 0;
  /// Nanoseconds since the clock's epoch: 1970 for those of UTC and TAI. Errors: told to the driver
  /// as an I/O error.
  virtual Result<std::uint64_t> read() = 0;

 protected:
  Clock() = default;
};

/// The host's time of day. Whether it is smeared over leap seconds only the host's time daemon
/// knows, so its type is kUtcMaybeSmeared.
[[nodiscard]] std::unique_ptr<Clock> host_utc();
/// The host's CLOCK_MONOTONIC.
[[nodiscard]] std::unique_ptr<Clock> host_monotonic();

/// The real-time clock device, type 17, as virtio 1.4 describes it and Linux 6.16 drives it. It
/// appears there as a PTP clock for each clock, and as an RTC for the first one of UTC.
///
/// Clocks are numbered in their order. The messages READ, CFG, CLOCK_CAP and CROSS_CAP are
/// answered; CROSS_CAP with "no", as the relation of the guest's counter to the host's clocks is
/// not known here, and READ_CROSS with "not supported". There are no alarms.
///
/// A request with a device-writable part too short for the common header gets nothing; otherwise
/// the answer says what was wrong, and is as long as there is room for, at most.
///
/// Threads: as VirtioDevice.
class Rtc final : public virtio_device::RequestDevice {
 public:
  static constexpr std::uint16_t kQueueSize = 64;  ///< the most entries of the queue

  /// Errors: EINVAL for no clocks or more than 65535.
  static Result<std::shared_ptr<Rtc>> create(std::vector<std::unique_ptr<Clock>> clocks);

 private:
  explicit Rtc(std::vector<std::unique_ptr<Clock>> clocks);
  std::uint32_t answer(std::uint16_t queue, virtio_queue::Chain& request) override;

  const std::vector<std::unique_ptr<Clock>> clocks_;
};

}  // namespace vmm::virtio_rtc
