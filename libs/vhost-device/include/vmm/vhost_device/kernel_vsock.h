// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "vmm/base/result.h"
#include "vmm/vhost/vsock.h"
#include "vmm/virtio_device/virtio_device.h"

namespace vmm::vhost_device {

/// The socket device over vhost-vsock: virtio 1.3, 5.10. The guest is an address of the host's
/// AF_VSOCK, `cid`, and reaches the host's sockets at CID 2.
///
/// A reset ends all connections, and sockets of the host see that.
///
/// Threads: as VirtioDevice.
class KernelVsock final : public virtio_device::VirtioDevice {
 public:
  /// @{
  /// Entries of the receive and transmit queues, and of the event queue.
  static constexpr std::uint16_t kQueueSize = 256;
  static constexpr std::uint16_t kEventQueueSize = 16;
  /// @}

  /// How a device is made.
  struct Options {
    std::uint64_t cid = 0;                   ///< of the guest; no other guest of this host has it
    std::string path = vhost::Vsock::kPath;  ///< of vhost-vsock, opened again after each reset
    /// Runs what opens the device, first and after each reset, and returns when it has: for
    /// programs whose drivers' threads may open nothing. Empty: it runs where it is needed.
    std::function<void(const std::function<void()>&)> opener = {};
  };

  /// Errors: those of vhost::Vsock::open() and set_guest_cid(): EINVAL, EADDRINUSE; ENOTSUP from a
  /// kernel without VERSION_1.
  static Result<std::shared_ptr<KernelVsock>> create(Options options);

  /// DeviceType::kVsock (virtio 1.3, 5.10.1).
  [[nodiscard]] virtio_device::DeviceType type() const override {
    return virtio_device::DeviceType::kVsock;
  }
  [[nodiscard]] std::span<const std::uint16_t> queue_sizes() const override { return kQueueSizes; }
  [[nodiscard]] std::uint64_t features() const override;
  [[nodiscard]] std::uint64_t queue_features() const override;
  [[nodiscard]] std::size_t config_bytes() const override { return sizeof(std::uint64_t); }
  void read_config(std::span<std::byte> config) override;
  void write_config(std::uint64_t, std::span<const std::byte>) override {}
  /// Errors: ENOTSUP for guest memory with dirty tracking; what made the last reset leave the guest
  /// without its CID, which is tried again here.
  Result<virtio_device::WorkerList> activate(virtio_device::Activation activation) override;
  void reset() override;

 private:
  static constexpr std::array<std::uint16_t, 3> kQueueSizes{kQueueSize, kQueueSize,
                                                            kEventQueueSize};

  KernelVsock(Options options, vhost::Vsock device, std::uint64_t offered)
      : options_(std::move(options)), device_(std::move(device)), offered_(offered) {}
  static Result<vhost::Vsock> open(const Options& options);
  static Result<vhost::Vsock> open_here(const Options& options);

  Options options_;
  std::optional<vhost::Vsock> device_;
  std::uint64_t offered_;  // by the kernel
};

}  // namespace vmm::vhost_device
