// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "control.h"
#include "receiver.h"
#include "transmitter.h"
#include "vmm/virtio_device/worker.h"
#include "vmm/virtio_net/net.h"

namespace vmm::virtio_net {

/// Serves a pair of queues, and the control queue when it has it.
class NetWorker final : public virtio_device::Worker {
 public:
  struct Parts {
    std::optional<virtio_device::ActiveQueue> receive;
    std::optional<virtio_device::ActiveQueue> transmit;
    std::optional<virtio_device::ActiveQueue> control;
  };

  NetWorker(Net& net, const NetPort& port, Parts parts,
            const std::shared_ptr<virtio_device::Interrupt>& interrupt, std::uint64_t features);

  Result<void> start(event_manager::EventLoop& loop) override;

 private:
  void port_is_ready(event_manager::EventSet ready);

  const NetPort& port_;
  std::optional<Receiver> receiver_;
  std::optional<Transmitter> transmitter_;
  std::optional<Control> control_;
  event_manager::Registration port_watch_;
};

}  // namespace vmm::virtio_net
