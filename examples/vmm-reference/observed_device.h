// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "event_monitor.h"
#include "vmm/base/log.h"
#include "vmm/rate_limiter/rate_limiter.h"
#include "vmm/virtio_device/virtio_device.h"

namespace vmm::reference {

/// Where devices tell of what their drivers do. What becomes of a device when its machine is taken
/// apart is nobody's doing, so it is muted meanwhile. A guest may start and reset its devices all
/// the time: of that kBurst events are told, and then some a second.
///
/// Thread-safety: all functions may be called from any thread.
class DeviceEvents {
 public:
  static constexpr std::uint64_t kBurst = 1024;
  static constexpr std::uint64_t kRefillMs = 32'000;  ///< after which there are kBurst again

  explicit DeviceEvents(EventMonitor& monitor) : monitor_(monitor) {}

  void mute(bool on) { muted_.store(on); }
  void report(Event event, const std::string& id) {
    if (muted_.load()) return;
    if (limiter_.consume(1, 0).count() == 0) return monitor_.report(event, {{"id", id}});
    VMM_LOG_GUEST(kWarn, "%s: the guest starts and resets devices too often to tell of all that",
                  id.c_str());
  }

 private:
  EventMonitor& monitor_;
  std::atomic<bool> muted_{false};
  rate_limiter::RateLimiter limiter_{
      {.bandwidth = {}, .operations = {.size = kBurst, .refill_ms = kRefillMs}}};
};

/// A device that tells of its activations and resets, and counts them.
class ObservedDevice final : public virtio_device::VirtioDevice {
 public:
  /// `events` outlives the device.
  ObservedDevice(std::string id, std::shared_ptr<virtio_device::VirtioDevice> device,
                 DeviceEvents& events)
      : id_(std::move(id)), device_(std::move(device)), events_(events) {}

  [[nodiscard]] std::uint64_t activations() const { return activations_.load(); }
  [[nodiscard]] std::uint64_t resets() const { return resets_.load(); }

  [[nodiscard]] virtio_device::DeviceType type() const override { return device_->type(); }
  [[nodiscard]] std::span<const std::uint16_t> queue_sizes() const override {
    return device_->queue_sizes();
  }
  [[nodiscard]] std::uint64_t features() const override { return device_->features(); }
  [[nodiscard]] std::uint64_t queue_features() const override { return device_->queue_features(); }
  [[nodiscard]] std::size_t config_bytes() const override { return device_->config_bytes(); }
  void read_config(std::span<std::byte> config) override { device_->read_config(config); }
  void write_config(std::uint64_t offset, std::span<const std::byte> data) override {
    device_->write_config(offset, data);
  }
  [[nodiscard]] bool accepts(std::uint64_t features) const override {
    return device_->accepts(features);
  }
  void set_features(std::uint64_t features) override { device_->set_features(features); }
  Result<virtio_device::WorkerList> activate(virtio_device::Activation activation) override {
    VMM_TRY(auto workers, device_->activate(std::move(activation)));
    active_ = true;
    ++activations_;
    events_.report(Event::kDeviceActivated, id_);
    return workers;
  }
  void reset() override {
    device_->reset();
    if (!std::exchange(active_, false)) return;
    ++resets_;
    events_.report(Event::kDeviceReset, id_);
  }
  [[nodiscard]] virtio_device::SharedMemoryOwner* shared_memory_owner() override {
    return device_->shared_memory_owner();
  }
  [[nodiscard]] virtio_device::StateOwner* state_owner() override { return device_->state_owner(); }

 private:
  const std::string id_;
  const std::shared_ptr<virtio_device::VirtioDevice> device_;
  DeviceEvents& events_;
  bool active_ = false;  // the transport serialises activate() and reset()
  std::atomic<std::uint64_t> activations_{0};
  std::atomic<std::uint64_t> resets_{0};
};

}  // namespace vmm::reference
