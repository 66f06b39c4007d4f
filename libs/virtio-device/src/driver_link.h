// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "vmm/base/mutex.h"
#include "vmm/virtio_device/interrupt.h"
#include "vmm/virtio_device/transport_core.h"

namespace vmm::virtio_device::detail {

/// The way from the device to its driver, and the copy of the configuration space that the driver
/// reads. With a copy, what a driver reads between two equal generations was there at one moment;
/// the device may change what it likes in the meantime.
///
/// Threads: any. The lock is taken after the transport's and before the device's. used_buffers()
/// takes none: workers call it, and they end before the sink does.
class DriverLink final : public Interrupt {
 public:
  DriverLink(VirtioDevice& device, InterruptSink& sink);

  void used_buffers(std::uint16_t queue) override { sink_.queue_interrupt(queue); }
  [[nodiscard]] int used_buffers_fd(std::uint16_t queue) override {
    gave_fds_.store(true, std::memory_order_relaxed);
    return sink_.queue_interrupt_fd(queue);
  }
  void config_changed() override;
  void needs_reset() override;

  /// From when the device is activated until it was reset, calls have an effect.
  void open();
  void close();
  /// As needs_reset(), of a device that could not be activated; until close().
  void did_not_start();
  [[nodiscard]] bool wants_reset() const { return needs_reset_.load(std::memory_order_acquire); }

  /// Whether somebody has asked for used_buffers_fd() since open().
  [[nodiscard]] bool gave_fds() const { return gave_fds_.load(std::memory_order_relaxed); }

  [[nodiscard]] std::size_t config_bytes() const { return config_bytes_; }
  void read_config(std::uint64_t offset, std::span<std::byte> data);
  void write_config(std::uint64_t offset, std::span<const std::byte> data);
  [[nodiscard]] std::uint32_t generation();

 private:
  /// How many of `bytes` bytes at `offset` are in the configuration space.
  [[nodiscard]] std::size_t inside(std::uint64_t offset, std::size_t bytes) const;
  /// True when the device had changed something.
  bool refresh() VMM_REQUIRES(mutex_);

  VirtioDevice& device_;
  InterruptSink& sink_;
  const std::size_t config_bytes_;
  std::atomic<bool> needs_reset_{false};
  std::atomic<bool> gave_fds_{false};
  Mutex mutex_;
  bool open_ VMM_GUARDED_BY(mutex_) = false;
  std::uint32_t generation_ VMM_GUARDED_BY(mutex_) = 0;
  std::vector<std::byte> config_ VMM_GUARDED_BY(mutex_);
  std::vector<std::byte> fresh_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::virtio_device::detail
