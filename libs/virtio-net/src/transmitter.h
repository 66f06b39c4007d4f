// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>
#include <optional>

#include "vmm/virtio_device/queue_runner.h"
#include "vmm/virtio_net/net_port.h"
#include "vmm/virtio_queue/chain.h"

namespace vmm::virtio_net {

/// Takes packets from the driver to the port: 5.1.6.2.
class Transmitter {
 public:
  Transmitter(const NetPort& port, virtio_device::ActiveQueue queue,
              std::shared_ptr<virtio_device::Interrupt> interrupt)
      : port_(port), runner_(std::move(queue), std::move(interrupt)) {}

  Result<void> start(event_manager::EventLoop& loop) {
    return runner_.start(loop, [this] { serve(); });
  }
  void port_has_room() {
    if (!full_) return;
    full_ = false;
    serve();
  }

 private:
  void serve();
  /// False: the port is full.
  bool send(const virtio_queue::Chain& chain) const;

  // A packet of 64 KiB in pages, and what a driver may put before and behind.
  static constexpr std::size_t kMaxPieces = 64;

  const NetPort& port_;
  virtio_device::QueueRunner runner_;
  virtio_queue::InlineChain<kMaxPieces> chain_;
  bool full_ = false;
};

}  // namespace vmm::virtio_net
