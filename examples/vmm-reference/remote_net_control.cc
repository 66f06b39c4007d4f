// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "remote_net_control.h"

#include <utility>

namespace vmm::reference {

/// Serves the control queue on a loop.
class RemoteNetControl::Worker final : public virtio_device::Worker {
 public:
  Worker(virtio_net::ControlHandler& handler, virtio_device::Activation activation)
      : control_(handler, std::move(activation.queues.front()), std::move(activation.interrupt)) {}
  Result<void> start(event_manager::EventLoop& loop) override { return control_.start(loop); }

 private:
  virtio_net::Control control_;
};

// 5.1.2: behind the pairs that the driver knows of.
std::uint16_t RemoteNetControl::index(std::uint64_t features) const {
  const bool many = (features & virtio_net::bit(virtio_net::NetFeature::kMq)) != 0;
  return static_cast<std::uint16_t>(2 * (many ? pairs_ : 1));
}

std::unique_ptr<virtio_device::Worker> RemoteNetControl::make_worker(
    virtio_device::Activation activation) {
  negotiated_ = activation.features;
  return std::make_unique<Worker>(*this, std::move(activation));
}

bool RemoteNetControl::set_queue_pairs(std::uint16_t pairs) {
  if (!negotiated(virtio_net::NetFeature::kMq) || pairs == 0 || pairs > pairs_) return false;
  return device_->enable_queues(static_cast<std::uint16_t>(2 * pairs)).has_value();
}

}  // namespace vmm::reference
