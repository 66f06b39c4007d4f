// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>

#include "vmm/vhost_user_frontend/remote_device.h"
#include "vmm/virtio_net/control.h"
#include "vmm/virtio_net/net.h"

namespace vmm::reference {

/// The control queue of a network that another process serves. The back end does not see it; what
/// it has to know is how many pairs of queues the driver uses.
class RemoteNetControl final : public vhost_user_frontend::OwnQueue,
                               public virtio_net::ControlHandler {
 public:
  static constexpr std::uint16_t kQueueSize = 64;

  explicit RemoteNetControl(std::uint16_t pairs) : pairs_(pairs) {}
  /// `device` owns this object.
  void serve(vhost_user_frontend::RemoteDevice& device) { device_ = &device; }

  [[nodiscard]] std::uint16_t index(std::uint64_t features) const override;
  [[nodiscard]] std::uint16_t enabled_at_start(std::uint64_t) const override { return 2; }
  std::unique_ptr<virtio_device::Worker> make_worker(virtio_device::Activation activation) override;

 private:
  class Worker;

  [[nodiscard]] bool negotiated(virtio_net::NetFeature feature) const override {
    return (negotiated_ & virtio_net::bit(feature)) != 0;
  }
  bool set_queue_pairs(std::uint16_t pairs) override;
  bool set_guest_offloads(std::uint64_t) override { return false; }
  bool set_mac(const virtio_net::MacAddress&) override { return false; }
  bool end_announcement() override { return false; }

  const std::uint16_t pairs_;
  vhost_user_frontend::RemoteDevice* device_ = nullptr;
  std::uint64_t negotiated_ = 0;  // does not change while there is a worker
};

}  // namespace vmm::reference
