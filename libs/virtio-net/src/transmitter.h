// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstdint>
#include <memory>

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
              rate_limiter::RateGate gate, Traffic& traffic)
      : port_(port),
        runner_(std::move(queue), std::move(interrupt)),
        features_(features),
        gate_(std::move(gate)),
        traffic_(traffic) {}

  Result<void> start(event_manager::EventLoop& loop);
  void port_has_room() {
    if (!full_) return;
    full_ = false;
    serve();
  }

 private:
  // A packet of 64 KiB in pages, and what a driver may put before and behind.
  static constexpr std::size_t kMaxPieces = 64;

  void serve();
  /// False: not now; the packet stays with the driver.
  bool send(const virtio_queue::Chain& chain);

  const NetPort& port_;
  virtio_device::QueueRunner runner_;
  const std::uint64_t features_;
  rate_limiter::RateGate gate_;
  event_manager::Registration gate_watch_;
  Traffic& traffic_;
  virtio_queue::InlineChain<kMaxPieces> chain_;
  std::array<virtio_queue::IoVec, kMaxPieces + 1> pieces_;  // for system calls
  bool full_ = false;
};

}  // namespace vmm::virtio_net
