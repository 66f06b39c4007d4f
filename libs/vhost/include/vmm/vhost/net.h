// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/vhost/vhost_device.h"

namespace vmm::vhost {

/// vhost-net: moves packets between a pair of rings and a tap, in the kernel.
///
///   set up as VhostDevice says -> set_backend() of each ring -> ... -> set_backend(ring, -1)
///
/// One device is one pair. Threads: as VhostDevice.
class Net final : public VhostDevice {
 public:
  static constexpr const char* kPath = "/dev/vhost-net";  ///< the module's device
  /// @{
  /// Of one pair, as the driver has them.
  static constexpr std::uint32_t kReceiveRing = 0;
  static constexpr std::uint32_t kTransmitRing = 1;
  static constexpr std::uint32_t kRings = 2;
  /// @}

  /// Errors: those of open(2): ENOENT without the module vhost_net, EACCES.
  static Result<Net> open(const char* path = kPath);
  /// Takes an open vhost-net device.
  static Net adopt(UniqueFd fd) { return Net(std::move(fd)); }

  /// Starts a ring on a queue of a tap, or a packet socket; -1 stops it: when that returns, the
  /// kernel uses neither the ring nor its buffers any more.
  /// Errors: EFAULT for rings or a log that cannot be reached; EINVAL; ENOTSOCK.
  Result<void> set_backend(std::uint32_t ring, int fd) const;

 private:
  explicit Net(UniqueFd fd) : VhostDevice(std::move(fd)) {}
};

}  // namespace vmm::vhost
