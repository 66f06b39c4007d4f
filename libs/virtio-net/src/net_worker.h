// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "receiver.h"
#include "transmitter.h"
#include "vmm/virtio_device/worker.h"
#include "vmm/virtio_net/control.h"
#include "vmm/virtio_net/net.h"

namespace vmm::virtio_net {

/// Serves a pair of queues; the first one serves the control queue besides.
class NetWorker final : public virtio_device::Worker {
 public:
  struct Parts {
    Net& net;
    const NetPort& port;
    std::uint16_t pair;   ///< which one
    std::uint16_t pairs;  ///< that there are; the control queue comes after them
    std::uint64_t features;
    std::shared_ptr<virtio_device::Interrupt> interrupt;
    /// Serves the pair's queues, of which this worker then has none; nullptr: this worker does.
    std::unique_ptr<virtio_device::Worker> engine = nullptr;
  };

  NetWorker(Parts parts, std::vector<virtio_device::ActiveQueue> queues);

  Result<void> start(event_manager::EventLoop& loop) override;
  void drain() override;
  void move_interrupts() override;
  bool stop_queue(std::uint16_t index) override;
  Result<void> start_queue(virtio_device::ActiveQueue& queue) override;

 private:
  [[nodiscard]] std::uint16_t receive_index() const {
    return static_cast<std::uint16_t>(2 * parts_.pair);
  }
  [[nodiscard]] std::uint16_t transmit_index() const {
    return static_cast<std::uint16_t>(2 * parts_.pair + 1);
  }
  [[nodiscard]] bool is_for_engine(std::uint16_t index) const {
    return parts_.engine != nullptr && index / 2u == parts_.pair;
  }
  [[nodiscard]] bool is_control(std::uint16_t index) const {
    return parts_.pair == 0 && index == 2 * parts_.pairs;
  }
  void port_is_ready(event_manager::EventSet ready);

  Parts parts_;
  std::vector<virtio_device::ActiveQueue> waiting_;  // for start()
  event_manager::EventLoop* loop_ = nullptr;
  std::optional<Receiver> receiver_;
  std::optional<Transmitter> transmitter_;
  std::optional<Control> control_;
  event_manager::Registration port_watch_;
};

}  // namespace vmm::virtio_net
