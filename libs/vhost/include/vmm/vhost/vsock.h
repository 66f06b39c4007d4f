// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/vhost/vhost_device.h"

namespace vmm::vhost {

/// vhost-vsock: makes a guest an address of the host's AF_VSOCK, in the kernel.
///
///   set_guest_cid() -> set up as VhostDevice says -> set_running(true) -> ...
///
/// The event queue of the virtio device is not the kernel's. Threads: as VhostDevice.
class Vsock final : public VhostDevice {
 public:
  static constexpr const char* kPath = "/dev/vhost-vsock";  ///< the module's device
  /// @{
  /// Without the event queue, which is the virtio device's third.
  static constexpr std::uint32_t kReceiveRing = 0;
  static constexpr std::uint32_t kTransmitRing = 1;
  static constexpr std::uint32_t kRings = 2;
  /// @}

  /// Errors: those of open(2): ENOENT without the module vhost_vsock, EACCES.
  static Result<Vsock> open(const char* path = kPath);
  /// Takes an open vhost-vsock device.
  static Vsock adopt(UniqueFd fd) { return Vsock(std::move(fd)); }

  /// Errors: EINVAL for a CID of 0 to 2 or above 2^32 - 2; EADDRINUSE when another guest of this
  /// host has it.
  Result<void> set_guest_cid(std::uint64_t cid) const;
  /// When `false` returns, the kernel uses neither rings nor buffers any more.
  /// Errors: EFAULT for rings that cannot be reached.
  Result<void> set_running(bool running) const;

 private:
  explicit Vsock(UniqueFd fd) : VhostDevice(std::move(fd)) {}
};

}  // namespace vmm::vhost
