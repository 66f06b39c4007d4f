// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "vmm/base/result.h"
#include "vmm/virtio_device/virtio_device.h"
#include "vmm/virtio_vsock/limits.h"
#include "vmm/virtio_vsock/packet.h"

namespace vmm::virtio_vsock {

/// The socket device: virtio 1.3, 5.10. Connects ports of the guest with Unix sockets of the host.
///
/// From the host: a program connects to the socket, writes "CONNECT 1024\n" and reads
/// "OK 1073741824\n" (the port it got) once the guest has accepted; then the socket is the
/// connection. It is closed instead when the guest refuses, or the line is no such line.
/// From the guest: what connects to port 1024 of CID 2 is connected to SOCKET_1024, a stream
/// socket, or a SOCK_SEQPACKET one when the guest's is. The guest is refused when nobody listens
/// there.
///
/// Each direction ends for itself. Sockets stay open while the guest resets; connections do not.
///
/// Threads: as VirtioDevice; transport_reset() from any thread.
class Vsock final : public virtio_device::VirtioDevice {
 public:
  static constexpr std::uint16_t kQueueSize = 256;  ///< the most entries of the queues for packets
  static constexpr std::uint16_t kEventQueueSize = 16;  ///< the most entries of the event queue

  /// How a socket device is made.
  struct Options {
    std::uint64_t cid = 0;  ///< of the guest
    std::string socket;     ///< path; see HostSocket::listen()
    Limits limits{};        ///< of what it takes of the host
  };

  /// Errors: EINVAL for a reserved CID (0 to 2, all 32-bit ones) or one of more than 32 bits, and
  /// for limits of 0 connections, clients or buffer bytes; those of HostSocket::listen() and
  /// eventfd(2).
  static Result<std::shared_ptr<Vsock>> create(const Options& options);
  ~Vsock() override;

  /// Ends all connections and tells the driver that they are gone: after the guest has been
  /// restored elsewhere. 5.10.6.7.
  void transport_reset();

  [[nodiscard]] virtio_device::DeviceType type() const override {
    return virtio_device::DeviceType::kVsock;
  }
  [[nodiscard]] std::span<const std::uint16_t> queue_sizes() const override { return kQueueSizes; }
  [[nodiscard]] std::uint64_t features() const override {
    return kFeatureStream | kFeatureSeqpacket;
  }
  [[nodiscard]] std::size_t config_bytes() const override { return sizeof(std::uint64_t); }
  void read_config(std::span<std::byte> config) override;
  void write_config(std::uint64_t, std::span<const std::byte>) override {}
  Result<virtio_device::WorkerList> activate(virtio_device::Activation activation) override;
  void reset() override;

 private:
  struct Core;
  static constexpr std::array<std::uint16_t, 3> kQueueSizes{kQueueSize, kQueueSize,
                                                            kEventQueueSize};

  explicit Vsock(std::shared_ptr<Core> core);

  std::shared_ptr<Core> core_;

  friend class VsockWorker;
};

}  // namespace vmm::virtio_vsock
