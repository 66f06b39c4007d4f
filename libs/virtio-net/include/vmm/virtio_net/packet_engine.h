// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>

#include "vmm/base/result.h"
#include "vmm/virtio_device/virtio_device.h"
#include "vmm/virtio_net/net_port.h"

namespace vmm::virtio_net {

/// Moves the packets of one pair of queues in the place of this library: the kernel, hardware,
/// another process. Configuration space, control queue and the port's offloads stay with Net.
///
/// Threads: activate() as VirtioDevice's; the worker as Worker.
class PacketEngine {
 public:
  virtual ~PacketEngine() = default;
  PacketEngine(const PacketEngine&) = delete;
  PacketEngine& operator=(const PacketEngine&) = delete;

  /// One of the device's pairs of queues.
  struct Pair {
    const NetPort& port;            ///< outlives its worker
    std::uint16_t first_queue = 0;  ///< the one that receives; the next one transmits
  };

  /// Which features the device may offer with it, those of queues included. Constant.
  [[nodiscard]] virtual std::uint64_t features() const = 0;
  /// The worker that serves `activation.queues`: of the pair those that the driver enabled, with
  /// the device's indices.
  virtual Result<std::unique_ptr<virtio_device::Worker>> activate(
      const Pair& pair, virtio_device::Activation activation) = 0;

 protected:
  PacketEngine() = default;
};

}  // namespace vmm::virtio_net
