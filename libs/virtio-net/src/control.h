// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>

#include "vmm/virtio_device/queue_runner.h"
#include "vmm/virtio_net/net.h"
#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_net {

/// Serves the control queue: 5.1.6.5.
class Control {
 public:
  Control(Net& net, virtio_device::ActiveQueue queue,
          std::shared_ptr<virtio_device::Interrupt> interrupt)
      : net_(net), runner_(std::move(queue), std::move(interrupt)) {}

  Result<void> start(event_manager::EventLoop& loop);

 private:
  std::uint32_t answer(virtio_queue::Chain& chain);
  [[nodiscard]] bool obey(virtio_queue::Reader& command);
  [[nodiscard]] bool set_addresses(std::uint8_t command_code, virtio_queue::Reader& command);
  [[nodiscard]] static bool set_mac_tables(virtio_queue::Reader& command);

  Net& net_;
  virtio_device::QueueRunner runner_;
  virtio_queue::InlineChain<16> chain_;
};

}  // namespace vmm::virtio_net
