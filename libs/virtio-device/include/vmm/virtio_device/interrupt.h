// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

namespace vmm::virtio_device {

/// How a device reaches its driver: virtio 1.3, 2.3 and 2.9.
///
/// Threads: any, several at once. config_changed() calls VirtioDevice::read_config(): no lock that
/// read_config() takes may be held.
///
/// Lifetime: once the device was reset, config_changed() and needs_reset() do nothing, however long
/// the object is kept. used_buffers() and used_buffers_fd() check nothing and go straight to the
/// transport: they are for the workers, which end before a reset, and before the transport does.
class Interrupt {
 public:
  virtual ~Interrupt() = default;
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  /// A used buffer notification; the caller has asked Queue::needs_notification().
  virtual void used_buffers(std::uint16_t queue) = 0;
  /// The configuration space has other contents now.
  virtual void config_changed() = 0;
  /// DEVICE_NEEDS_RESET: the device cannot go on; 2.1.2.
  virtual void needs_reset() = 0;
  /// An eventfd that does what used_buffers() does, for the kernel and other processes; -1 when
  /// there is none at the moment. Until Worker::move_interrupts(), when it is to be asked for
  /// again.
  [[nodiscard]] virtual int used_buffers_fd(std::uint16_t queue) = 0;

 protected:
  Interrupt() = default;
};

}  // namespace vmm::virtio_device
