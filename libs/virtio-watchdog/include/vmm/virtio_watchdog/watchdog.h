// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "vmm/base/result.h"
#include "vmm/virtio_device/virtio_device.h"

namespace vmm::virtio_watchdog {

/// A watchdog, device type 35. The number is reserved in virtio 1.3, section 5; the protocol is the
/// one that Linux guests have a driver for: one queue, and each buffer on it is a sign of life. The
/// device writes the byte 1 to its front and gives it back with length 1. A buffer that the device
/// may not write to comes back with length 0 and counts for nothing.
///
/// The watch begins with the first sign of life after activation, so that a guest without the
/// driver is left alone, and ends with a reset of the device. When none comes for Options::timeout,
/// Options::on_expiry is called, once; the next sign of life starts the watch anew.
///
/// Threads: as VirtioDevice; pause() and resume() from any thread.
class Watchdog final : public virtio_device::VirtioDevice {
 public:
  static constexpr std::uint16_t kQueueSize = 8;  ///< the most entries of the queue
  /// The driver's interval is 15 s.
  static constexpr std::chrono::seconds kDefaultTimeout{20};

  /// How a watchdog is made.
  struct Options {
    std::chrono::nanoseconds timeout = kDefaultTimeout;  ///< without a sign of life; more than 0
    /// Called by the device's worker; must not block, nor wait for the device's reset.
    std::function<void()> on_expiry;
  };

  /// Errors: EINVAL without `on_expiry` or for a timeout that is not positive; those of
  /// timerfd_create(2).
  static Result<std::shared_ptr<Watchdog>> create(Options options);
  ~Watchdog() override;

  /// The VM stands still from now on: its silence does not count.
  void pause();
  /// The VM runs again and has the whole timeout for its next sign of life, if it is being watched.
  void resume();

  [[nodiscard]] virtio_device::DeviceType type() const override {
    return virtio_device::DeviceType::kWatchdog;
  }
  [[nodiscard]] std::span<const std::uint16_t> queue_sizes() const override { return kQueueSizes; }
  [[nodiscard]] std::uint64_t features() const override;
  [[nodiscard]] std::size_t config_bytes() const override { return 0; }
  void read_config(std::span<std::byte>) override {}
  void write_config(std::uint64_t, std::span<const std::byte>) override {}
  Result<virtio_device::WorkerList> activate(virtio_device::Activation activation) override;
  void reset() override;

 private:
  class Watch;
  class WatchdogWorker;
  static constexpr std::array<std::uint16_t, 1> kQueueSizes{kQueueSize};

  explicit Watchdog(std::shared_ptr<Watch> watch) : watch_(std::move(watch)) {}

  std::shared_ptr<Watch> watch_;
};

}  // namespace vmm::virtio_watchdog
