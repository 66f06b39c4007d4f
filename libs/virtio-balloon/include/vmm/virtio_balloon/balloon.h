// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "vmm/base/result.h"
#include "vmm/virtio_balloon/reclaim.h"
#include "vmm/virtio_balloon/statistics.h"
#include "vmm/virtio_device/virtio_device.h"

namespace vmm::virtio_balloon {

///@{
/// Feature bits: virtio 1.3, 5.5.3.
inline constexpr std::uint64_t kFeatureMustTellHost = 1u << 0;
inline constexpr std::uint64_t kFeatureStatistics = 1u << 1;
inline constexpr std::uint64_t kFeatureDeflateOnOom = 1u << 2;
inline constexpr std::uint64_t kFeatureFreePageHint = 1u << 3;  ///< not offered
inline constexpr std::uint64_t kFeaturePagePoison = 1u << 4;
inline constexpr std::uint64_t kFeaturePageReporting = 1u << 5;
///@}

/// The memory balloon device: virtio 1.3, 5.5. What the driver puts into the balloon, and what it
/// reports as free, goes to the Reclaim in whole pages of the host.
///
/// The driver's page numbers are taken for what they are: those outside of RAM are passed over,
/// the others harm nobody but the guest. A request names at most kMaxPages pages; what it names
/// beyond them stays with the guest.
///
/// Memory that a balloon may take must not be pinned (VFIO, registered io_uring buffers).
///
/// Threads: as VirtioDevice; set_target(), target(), actual(), request_statistics() and
/// statistics() from any thread.
class Balloon final : public virtio_device::VirtioDevice {
 public:
  static constexpr std::uint16_t kQueueSize = 128;  ///< the most entries of each queue
  static constexpr std::size_t kMaxPages = 4096;    ///< of 4096 bytes, in one request
  /// The most that set_target() takes: page numbers have 32 bits.
  static constexpr std::uint64_t kMaxBytes = std::uint64_t{0xffff'ffff} * 4096;

  /// How a balloon is made.
  struct Options {
    std::uint64_t target = 0;            ///< bytes that the driver is asked for from the start
    bool deflate_on_oom = false;         ///< the driver may take memory out when it runs short
    bool page_reporting = false;         ///< the driver reports pages that it does not use
    std::shared_ptr<Reclaim> reclaim{};  ///< nullptr: make_discarding_reclaim()
  };

  /// Errors: EINVAL as set_target(); those of eventfd(2).
  static Result<std::shared_ptr<Balloon>> create(Options options);
  ~Balloon() override;

  /// Asks the driver to have that many bytes in the balloon, rounded down to 4096; how long it
  /// takes, and whether it does it, is the driver's affair. Errors: EINVAL above kMaxBytes.
  Result<void> set_target(std::uint64_t bytes);
  /// Bytes that the driver is asked for: those of set_target(), rounded down to 4096.
  [[nodiscard]] std::uint64_t target() const;
  /// The bytes in the balloon, in the driver's words.
  [[nodiscard]] std::uint64_t actual() const;

  /// Asks the driver for its statistics. The answer comes when it comes.
  void request_statistics();
  /// The last ones that the driver told; nullopt when there are none since the last reset.
  [[nodiscard]] std::optional<Statistics> statistics() const;

  [[nodiscard]] virtio_device::DeviceType type() const override {
    return virtio_device::DeviceType::kBalloon;
  }
  [[nodiscard]] std::span<const std::uint16_t> queue_sizes() const override { return kQueueSizes; }
  [[nodiscard]] std::uint64_t features() const override { return features_; }
  [[nodiscard]] std::size_t config_bytes() const override;
  void read_config(std::span<std::byte> config) override;
  void write_config(std::uint64_t offset, std::span<const std::byte> data) override;
  Result<virtio_device::WorkerList> activate(virtio_device::Activation activation) override;
  void reset() override;

 private:
  class Shared;
  static constexpr std::array<std::uint16_t, 5> kQueueSizes{kQueueSize, kQueueSize, kQueueSize,
                                                            kQueueSize, kQueueSize};

  Balloon(std::uint64_t features, std::shared_ptr<Reclaim> reclaim, std::shared_ptr<Shared> shared);

  std::uint64_t features_;
  std::shared_ptr<Reclaim> reclaim_;
  std::shared_ptr<Shared> shared_;

  friend class BalloonWorker;
};

}  // namespace vmm::virtio_balloon
