// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>

#include "vmm/base/result.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/vhost_user/backend_session.h"
#include "vmm/vhost_user_backend/device_extension.h"
#include "vmm/virtio_device/virtio_device.h"
#include "vmm/virtio_device/worker.h"

namespace vmm::vhost_user_backend {

/// Has a VirtioDevice serve the front end of a vhost-user session.
///
/// The device is activated when the front end says DRIVER_OK; where it does not agree to tell the
/// status, or tells FEATURES_OK and no more, shortly after the last ring was started. Whatever
/// concerns a running ring (stopping one, starting another) stops the device, with all requests
/// answered, and starts it again with the rings as they are then; it goes on where it was. What the
/// driver wrote to the configuration space is written again then. Behind the end of that space
/// reads give zeros, for front ends that know more of it, and writes are refused.
///
/// Offered besides what the device offers: indirect descriptors, event indices, packed rings, the
/// dirty log; multiple queues, configuration, memory slots, inflight memory, status, reset, in-band
/// notifications, the byte order of rings (little-endian). Device state, of a StateOwner, is kept
/// while rings are stopped, and also by a status of 0, which front ends set to stop a VM.
///
/// Threads: the control loop's. The device's workers run where `workers` says.
class DeviceBackend final : public vhost_user::BackendHandler {
 public:
  /// What a backend is made of.
  struct Parts {
    std::shared_ptr<virtio_device::VirtioDevice> device;  ///< not nullptr
    virtio_device::Workers& workers;    ///< for this device alone; outlives the backend
    event_manager::EventLoop& control;  ///< of the session's thread; outlives the backend
    /// Whether to offer ACCESS_PLATFORM: for devices that reach memory through their queues alone.
    bool iommu = false;
    /// What it does besides virtio; nullptr: nothing.
    std::shared_ptr<DeviceExtension> extension = nullptr;
  };

  /// Errors: EINVAL for a device with more than 256 queues; those of eventfd(2) and timerfd(2).
  static Result<std::unique_ptr<DeviceBackend>> create(Parts parts);
  DeviceBackend(const DeviceBackend&) = delete;
  DeviceBackend& operator=(const DeviceBackend&) = delete;
  /// As disconnect().
  ~DeviceBackend();

  [[nodiscard]] std::uint64_t features() const override;
  [[nodiscard]] std::uint64_t protocol_features() const override;
  [[nodiscard]] std::uint32_t queue_count() const override;
  Result<vhost_user::Reply> handle(vhost_user::FrontendRequest& request) override;

  /// The front end has gone: ends the device's activity and forgets all that was said.
  void disconnect();
  /// Whether the device is activated.
  [[nodiscard]] bool running() const;

 private:
  class Impl;
  explicit DeviceBackend(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace vmm::vhost_user_backend
