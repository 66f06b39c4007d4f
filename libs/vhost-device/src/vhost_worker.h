// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "vmm/event_manager/event_loop.h"
#include "vmm/sys_util/event_fd.h"
#include "vmm/vhost/vhost_device.h"
#include "vmm/virtio_device/virtio_device.h"

namespace vmm::vhost_device {

/// How the rings of one kind of vhost device are started.
class RingSwitch {
 public:
  virtual ~RingSwitch() = default;
  RingSwitch(const RingSwitch&) = delete;
  RingSwitch& operator=(const RingSwitch&) = delete;

  /// Lets the kernel serve a ring that is set up.
  virtual Result<void> start(std::uint32_t ring) = 0;
  /// When it returns, the kernel uses the ring no more. Nothing for a ring that was not started.
  virtual Result<void> stop(std::uint32_t ring) = 0;

 protected:
  RingSwitch() = default;
};

/// The features to set of those that were negotiated: what the kernel has a part in. Guest memory
/// is given to it directly, so ACCESS_PLATFORM, which would mean an IOTLB there, is not passed on.
[[nodiscard]] std::uint64_t kernel_features(std::uint64_t negotiated, std::uint64_t offered);

/// Which features of queues a device may offer, by what the kernel offers.
[[nodiscard]] std::uint64_t queue_features(std::uint64_t offered);

/// Has the kernel serve queues from start() to its own end.
///
/// Kicks go from the doorbell to the kernel, and its interrupts to the vector of the queue, without
/// this thread. Only where a queue has no vector of its own (a shared line) the kernel's interrupts
/// come by here. A ring that the driver broke asks for a reset of the device.
///
/// Guest memory is that of the activation: it stays mapped, and the kernel knows none that is
/// plugged later.
class VhostWorker final : public virtio_device::Worker {
 public:
  struct Parts {
    const vhost::VhostDevice& device;  ///< owned by this process; outlives the worker
    std::unique_ptr<RingSwitch> rings;
    std::uint16_t first_queue = 0;  ///< the queue that is ring 0
    std::uint64_t features = 0;     ///< kernel_features()
  };

  /// Errors: ENOTSUP for guest memory with dirty tracking, of which the kernel would not know.
  static Result<std::unique_ptr<VhostWorker>> create(Parts parts,
                                                     virtio_device::Activation activation);
  ~VhostWorker() override;

  Result<void> start(event_manager::EventLoop& loop) override;
  void drain() override;
  void move_interrupts() override;
  bool stop_queue(std::uint16_t index) override;
  Result<void> start_queue(virtio_device::ActiveQueue& queue) override;

 private:
  /// What a ring has while it is with the kernel.
  struct Ring {
    std::uint16_t queue;
    bool packed;
    std::shared_ptr<virtio_queue::QueuePosition> left_at;
    sys_util::EventFd broken;     ///< the kernel says so
    sys_util::EventFd interrupt;  ///< of the kernel, where the queue has no vector of its own
    event_manager::Registration broken_watch{};
    event_manager::Registration interrupt_watch{};
  };

  VhostWorker(Parts parts, virtio_device::Activation activation);

  [[nodiscard]] std::uint32_t number_of(std::uint16_t queue) const {
    return std::uint32_t{queue} - parts_.first_queue;
  }
  Result<void> set_addresses(const virtio_device::ActiveQueue& queue) const;
  Result<void> connect(Ring& ring, const virtio_device::ActiveQueue& queue);
  Result<void> connect_interrupt(Ring& ring);
  Result<void> relay_interrupts(Ring& ring);
  Result<void> watch_for_breaks(Ring& ring);
  void stop(const Ring& ring) const;
  void note_position(const Ring& ring) const;

  Parts parts_;
  std::shared_ptr<const vm_memory::RegionMap> memory_;  // stays mapped while the kernel uses it
  std::shared_ptr<virtio_device::Interrupt> interrupt_;
  std::vector<virtio_device::ActiveQueue> waiting_;  // for start()
  event_manager::EventLoop* loop_ = nullptr;
  std::vector<std::unique_ptr<Ring>> running_;
};

}  // namespace vmm::vhost_device
