// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/rate_limiter/rate_limiter.h"
#include "vmm/virtio_device/virtio_device.h"

namespace vmm::virtio_rng {

/// The entropy device: virtio 1.3, 5.4. Bytes go from the source straight to the driver's buffers.
///
/// A request gets at most kMaxRequestBytes, and may get fewer when the source has no more: the used
/// length says how many. It is answered with at least one byte (5.4.6.2), so requests wait while
/// the source is dry: for good, when it has ended or cannot be read, several times over. Only what
/// has no byte to write to comes back with none. Requests are served one after another on one
/// worker.
///
/// A limiter counts requests, and the bytes that they get. What it does not allow yet waits.
///
/// Threads: as VirtioDevice.
class Rng final : public virtio_device::VirtioDevice {
 public:
  static constexpr std::uint16_t kQueueSize = 256;            ///< the most entries of the queue
  static constexpr std::uint32_t kMaxRequestBytes = 1 << 16;  ///< that a request gets at most

  /// Takes a descriptor that random bytes can be read from; it is made non-blocking, so that a dry
  /// source holds nobody up. A `limiter` of nullptr is none; others may share it. Errors: those of
  /// fcntl(2).
  static Result<std::shared_ptr<Rng>> create(
      UniqueFd source, std::shared_ptr<rate_limiter::RateLimiter> limiter = nullptr);
  /// Opens a file, for example /dev/urandom. Errors: those of open(2).
  static Result<std::shared_ptr<Rng>> open(
      const std::string& path, std::shared_ptr<rate_limiter::RateLimiter> limiter = nullptr);

  [[nodiscard]] virtio_device::DeviceType type() const override {
    return virtio_device::DeviceType::kEntropy;
  }
  [[nodiscard]] std::span<const std::uint16_t> queue_sizes() const override { return kQueueSizes; }
  [[nodiscard]] std::uint64_t features() const override;
  [[nodiscard]] std::size_t config_bytes() const override { return 0; }
  void read_config(std::span<std::byte>) override {}
  void write_config(std::uint64_t, std::span<const std::byte>) override {}
  Result<virtio_device::WorkerList> activate(virtio_device::Activation activation) override;
  void reset() override {}

 private:
  static constexpr std::array<std::uint16_t, 1> kQueueSizes{kQueueSize};

  Rng(UniqueFd source, std::shared_ptr<rate_limiter::RateLimiter> limiter)
      : source_(std::move(source)), limiter_(std::move(limiter)) {}

  UniqueFd source_;
  std::shared_ptr<rate_limiter::RateLimiter> limiter_;
};

}  // namespace vmm::virtio_rng
