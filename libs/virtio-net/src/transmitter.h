// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "pair_counters.h"
#include "vmm/rate_limiter/rate_limiter.h"
#include "vmm/virtio_device/queue_runner.h"
#include "vmm/virtio_net/net_port.h"
#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_net {

/// Takes packets from the driver to the port: 5.1.6.2.
class Transmitter {
 public:
  Transmitter(const NetPort& port, virtio_device::ActiveQueue queue,
              std::shared_ptr<virtio_device::Interrupt> interrupt, std::uint64_t features,
              rate_limiter::RateGate gate, Traffic& traffic);

  Result<void> start(event_manager::EventLoop& loop);
  void port_has_room() {
    if (!full_) return;
    full_ = false;
    serve();
  }

 private:
  void serve();
  /// False: not now; the packet stays with the driver.
  bool send(const virtio_queue::Chain& chain);
  /// Lists a packet behind the place of its header; how many pieces that are.
  std::size_t list(virtio_queue::Reader& packet, std::size_t pieces);

  const NetPort& port_;
  virtio_device::QueueRunner runner_;
  const std::uint64_t features_;
  rate_limiter::RateGate gate_;
  event_manager::Registration gate_watch_;
  Traffic& traffic_;
  virtio_queue::ChainBuffer chain_;
  std::vector<virtio_queue::IoVec> pieces_;  // for system calls
  std::unique_ptr<std::byte[]> copy_;        // for a packet in more pieces than one of them takes
  bool full_ = false;
};

}  // namespace vmm::virtio_net
