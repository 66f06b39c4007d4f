// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>

#include "vmm/base/result.h"
#include "vmm/vhost/net.h"
#include "vmm/virtio_net/packet_engine.h"

namespace vmm::vhost_device {

/// vhost-net as the engine of one pair of queues of a virtio_net::Net: the kernel moves packets
/// between rings and tap by itself. Each pair has one of its own.
///
/// What the kernel is told is what it has a part in: indirect descriptors, event indices, mergeable
/// buffers. Checksums and segmentation are between driver and tap.
///
/// Threads: as PacketEngine.
class KernelNet final : public virtio_net::PacketEngine {
 public:
  /// Takes the process for the owner of a vhost-net device, of this path or just opened.
  /// Errors: those of vhost::Net::open(); EBUSY when the device has an owner; ENOTSUP from a kernel
  /// without VERSION_1.
  static Result<std::unique_ptr<KernelNet>> open(const char* path = vhost::Net::kPath);
  /// Takes over a device that was opened elsewhere. Errors: as open(), but for those of opening.
  static Result<std::unique_ptr<KernelNet>> adopt(vhost::Net device);

  [[nodiscard]] std::uint64_t features() const override;
  /// Errors: ENOTSUP for guest memory with dirty tracking. The worker's start() fails with the
  /// kernel's errors: E2BIG for guest memory of more regions than it takes, ENOTSOCK for a port
  /// that is neither a tap nor a packet socket.
  Result<std::unique_ptr<virtio_device::Worker>> activate(
      const Pair& pair, virtio_device::Activation activation) override;

 private:
  KernelNet(vhost::Net device, std::uint64_t offered)
      : device_(std::move(device)), offered_(offered) {}

  vhost::Net device_;
  std::uint64_t offered_;  // by the kernel
};

}  // namespace vmm::vhost_device
