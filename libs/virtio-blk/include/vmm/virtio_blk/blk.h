// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/block/engine.h"
#include "vmm/block/image.h"
#include "vmm/rate_limiter/rate_limiter.h"
#include "vmm/virtio_blk/counters.h"
#include "vmm/virtio_blk/layout.h"
#include "vmm/virtio_device/virtio_device.h"

namespace vmm::virtio_blk {

class QueueCounters;

/// How a block device is made.
struct BlkOptions {
  std::uint16_t queues = 1;        ///< 1 to 1024
  std::uint16_t queue_size = 128;  ///< of each, a power of two from 2 to 32768
  std::string serial{};            ///< what GET_ID answers; at most 20 bytes
  /// The logical block that the driver is told, a power of two from 512 to 65536, and at least
  /// the image's alignment(); 0: the image's own. Requests are of sectors of 512 bytes all the same
  /// (5.2.6).
  std::uint32_t block_bytes = 0;
  /// Offer DISCARD, and let writes of zeroes give space back. A read-only disk offers neither.
  bool discard = true;
  block::EngineKind engine = block::EngineKind::kAuto;  ///< of each queue
  /// Register all guest memory with the kernel for I/O, but for that of files; see
  /// block::Engine::Options::pinned_memory. What is unplugged stays mapped until a reset.
  bool pin_memory = false;
  std::shared_ptr<rate_limiter::RateLimiter> limiter{};  ///< nullptr: no limits; may be shared
};

/// The block device: virtio 1.3, 5.2. One worker for each queue, each with an engine of its own on
/// the image that they share.
///
/// Data goes between guest memory and the file without a copy of ours; all requests of a batch are
/// given to the kernel at once, and those that have ended are shown to the driver at once. Nothing
/// is allocated for a request. A malformed request gets the status that 5.2.6 asks for, or length
/// 0 when it has no room for a status, and touches no other one.
///
/// A write has reached the medium when the driver is told of its end, unless the driver agreed to
/// send flushes: VIRTIO_BLK_F_FLUSH, and the `writeback` field when it may choose (5.2.5, 5.2.6.2).
///
/// The used length counts the driver's bytes that were written from the first one on (2.7.8.2), so
/// it leaves out the status of a read that failed half way.
///
/// Threads: as VirtioDevice; resize() and counters() from any thread.
class Blk final : public virtio_device::VirtioDevice {
 public:
  /// Errors: EINVAL for options that cannot be.
  static Result<std::shared_ptr<Blk>> create(std::shared_ptr<block::Image> image,
                                             BlkOptions options);
  ~Blk() override;

  [[nodiscard]] virtio_device::DeviceType type() const override {
    return virtio_device::DeviceType::kBlock;
  }
  [[nodiscard]] std::span<const std::uint16_t> queue_sizes() const override { return queue_sizes_; }
  [[nodiscard]] std::uint64_t features() const override { return features_; }
  [[nodiscard]] std::size_t config_bytes() const override { return kConfigBytes; }
  void read_config(std::span<std::byte> config) override;
  void write_config(std::uint64_t offset, std::span<const std::byte> data) override;
  void set_features(std::uint64_t features) override;
  Result<virtio_device::WorkerList> activate(virtio_device::Activation activation) override;
  void reset() override;

  /// Changes the size of the image and tells the driver. What lies beyond a new end is gone.
  /// Errors: those of block::Image::resize().
  Result<void> resize(std::uint64_t bytes);
  /// Of the disk; resize() changes it.
  [[nodiscard]] std::uint64_t size_bytes() const { return image_->size_bytes(); }
  /// Whether the image cannot be written, so that VIRTIO_BLK_F_RO is offered.
  [[nodiscard]] bool read_only() const { return !image_->file().writable(); }
  /// The sums of all queues since the device was made; each number is right by itself.
  [[nodiscard]] BlkCounters counters() const;

  // For the device's own workers.

  ///@{
  /// As create() got it.
  [[nodiscard]] const BlkOptions& options() const { return options_; }
  [[nodiscard]] const std::shared_ptr<block::Image>& image() const { return image_; }
  ///@}
  /// Whether writes may wait for a flush.
  [[nodiscard]] bool writeback() const { return writeback_.load(std::memory_order_relaxed); }
  /// kIdBytes bytes: the serial, filled up with zeros.
  [[nodiscard]] std::span<const std::byte> id() const { return id_; }
  /// The counters of a queue that the device has.
  [[nodiscard]] QueueCounters& queue_counters(std::uint16_t queue) { return *counters_[queue]; }

 private:
  Blk(std::shared_ptr<block::Image> image, BlkOptions options);

  std::shared_ptr<block::Image> image_;
  const BlkOptions options_;
  std::vector<std::uint16_t> queue_sizes_;
  std::uint64_t features_;
  std::array<std::byte, kIdBytes> id_{};
  std::vector<std::unique_ptr<QueueCounters>> counters_;

  std::atomic<bool> writeback_{true};
  std::uint64_t negotiated_ = 0;
  Mutex mutex_;
  std::shared_ptr<virtio_device::Interrupt> interrupt_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::virtio_blk
