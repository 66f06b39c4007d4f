// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/virtio_device/virtio_device.h"
#include "vmm/virtio_net/net_port.h"
#include "vmm/virtio_net/tap.h"

namespace vmm::virtio_net {

/// Feature bits: virtio 1.3, 5.1.3.
enum class NetFeature : std::uint8_t {
  kCsum = 0,
  kGuestCsum = 1,
  kCtrlGuestOffloads = 2,
  kMtu = 3,
  kMac = 5,
  kGuestTso4 = 7,
  kGuestTso6 = 8,
  kGuestEcn = 9,
  kGuestUfo = 10,
  kHostTso4 = 11,
  kHostTso6 = 12,
  kHostEcn = 13,
  kHostUfo = 14,
  kMrgRxbuf = 15,
  kStatus = 16,
  kCtrlVq = 17,
  kCtrlRx = 18,
  kMq = 22,
  kCtrlMacAddr = 23,
};

[[nodiscard]] constexpr std::uint64_t bit(NetFeature feature) {
  return std::uint64_t{1} << static_cast<unsigned>(feature);
}

inline constexpr std::uint32_t kNetHeaderBytes = 12;
/// The longest packet: 64 KiB after segmentation offload, and an Ethernet header with a VLAN tag.
inline constexpr std::uint32_t kMaxPacketBytes = 65535 + 18;
inline constexpr std::uint16_t kMaxQueuePairs = 256;

struct NetOptions {
  MacAddress mac{};
  std::optional<std::uint16_t> mtu;  ///< told to the driver
  std::uint16_t queue_size = 256;
  bool offload_csum = true;
  bool offload_tso = true;  ///< needs csum, as does the next one
  bool offload_ufo = true;
};

/// The network device: virtio 1.3, 5.1. One worker for each pair of queues; the first one also
/// serves the control queue.
///
/// Packets go between the driver's buffers and the port by one system call each, without a copy of
/// ours; a port that is full, or a driver without buffers, holds its own direction up and no more.
/// A packet that is malformed, or that the port refuses, is dropped.
///
/// Threads: as VirtioDevice; counters() from any thread.
class Net final : public virtio_device::VirtioDevice {
 public:
  /// `ports` are the pairs of queues that there are, at least one. Errors: EINVAL for no ports or
  /// too many, a mixture of taps and sockets, and for a queue size that cannot be.
  static Result<std::shared_ptr<Net>> create(const NetOptions& options, std::vector<NetPort> ports);

  [[nodiscard]] virtio_device::DeviceType type() const override {
    return virtio_device::DeviceType::kNet;
  }
  [[nodiscard]] std::span<const std::uint16_t> queue_sizes() const override { return queue_sizes_; }
  [[nodiscard]] std::uint64_t features() const override { return features_; }
  [[nodiscard]] std::size_t config_bytes() const override;
  void read_config(std::span<std::byte> config) override;
  void write_config(std::uint64_t, std::span<const std::byte>) override {}
  Result<virtio_device::WorkerList> activate(virtio_device::Activation activation) override;
  void reset() override;

  [[nodiscard]] std::uint16_t queue_pairs() const {
    return static_cast<std::uint16_t>(ports_.size());
  }

  // For the device's own workers.

  /// The commands of the control queue: 5.1.6.5. False: refused, nothing changes.
  bool set_queue_pairs(std::uint16_t pairs);
  bool set_guest_offloads(std::uint64_t features);
  void set_mac(const MacAddress& mac);

 private:
  Net(const NetOptions& options, std::vector<NetPort> ports);

  NetOptions options_;
  std::vector<NetPort> ports_;
  std::vector<std::uint16_t> queue_sizes_;
  std::uint64_t features_;
  std::uint64_t negotiated_ = 0;
  Mutex mutex_;
  MacAddress mac_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::virtio_net
