// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/rate_limiter/rate_limiter.h"
#include "vmm/virtio_device/virtio_device.h"
#include "vmm/virtio_net/control.h"
#include "vmm/virtio_net/counters.h"
#include "vmm/virtio_net/net_port.h"
#include "vmm/virtio_net/packet_engine.h"
#include "vmm/virtio_net/tap.h"

namespace vmm::virtio_net {

struct PairCounters;

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
  kGuestAnnounce = 21,
  kMq = 22,
  kCtrlMacAddr = 23,
  kGuestUso4 = 54,
  kGuestUso6 = 55,
  kHostUso = 56,
};

/// The feature's bit of the 64.
[[nodiscard]] constexpr std::uint64_t bit(NetFeature feature) {
  return std::uint64_t{1} << static_cast<unsigned>(feature);
}

/// Of struct virtio_net_hdr, with num_buffers: 5.1.6.
inline constexpr std::uint32_t kNetHeaderBytes = 12;
/// The longest packet: 64 KiB after segmentation offload, and an Ethernet header with a VLAN tag.
inline constexpr std::uint32_t kMaxPacketBytes = 65535 + 18;
inline constexpr std::uint16_t kMaxQueuePairs = 256;  ///< that a device may have
///@{
/// Status bits of the configuration space: 5.1.4.
inline constexpr std::uint16_t kLinkUp = 1;
inline constexpr std::uint16_t kAnnounce = 2;
///@}

/// How a network device is made.
struct NetOptions {
  MacAddress mac{};                       ///< told to the driver, which may change it for itself
  std::optional<std::uint16_t> mtu = {};  ///< told to the driver; at least 68
  /// The most entries of each queue; a power of two from 2 to 32768.
  std::uint16_t queue_size = 256;
  bool offload_csum = true;  ///< offer it, both ways, if all ports know it
  bool offload_tso = true;   ///< needs csum, as does the next one
  bool offload_ufo = true;   ///< UDP: fragmentation, and segmentation where the kernel knows it
  /// Packets and their bytes, without the header; nullptr: unlimited. All pairs share them.
  std::shared_ptr<rate_limiter::RateLimiter> receive_limit = nullptr;
  /// Likewise, for packets from the driver.
  std::shared_ptr<rate_limiter::RateLimiter> transmit_limit = nullptr;
};

/// The network device: virtio 1.3, 5.1. One worker for each pair of queues; the first one also
/// serves the control queue.
///
/// Packets go between the driver's buffers and the port by one system call each, without a copy of
/// ours; headers go through our own memory, where they are checked. A port that is full, a limit
/// that is reached, or a driver without buffers, holds its own direction up and no more. A packet
/// that is malformed, or that the port refuses, is dropped.
///
/// Threads: as VirtioDevice; announce(), set_link_up(), send_rarp() and set_mtu() from any thread.
class Net final : public virtio_device::VirtioDevice, public ControlHandler {
 public:
  /// `ports` are the pairs of queues that there are, at least one. `engines`: none, or one for each
  /// port, which moves its packets then. Errors: EINVAL for no ports or too many, a mixture of taps
  /// and sockets, a queue size or an MTU that cannot be, limits together with engines; EIO when a
  /// tap's queue cannot be enabled.
  static Result<std::shared_ptr<Net>> create(
      const NetOptions& options, std::vector<NetPort> ports,
      std::vector<std::unique_ptr<PacketEngine>> engines = {});
  ~Net() override;

  [[nodiscard]] virtio_device::DeviceType type() const override {
    return virtio_device::DeviceType::kNet;
  }
  [[nodiscard]] std::span<const std::uint16_t> queue_sizes() const override { return queue_sizes_; }
  [[nodiscard]] std::uint64_t features() const override { return features_; }
  [[nodiscard]] std::uint64_t queue_features() const override { return engine_features_; }
  [[nodiscard]] std::size_t config_bytes() const override;
  void read_config(std::span<std::byte> config) override;
  void write_config(std::uint64_t, std::span<const std::byte>) override {}
  Result<virtio_device::WorkerList> activate(virtio_device::Activation activation) override;
  void reset() override;

  /// Pairs of queues that the device has; how many the driver uses is its choice.
  [[nodiscard]] std::uint16_t queue_pairs() const {
    return static_cast<std::uint16_t>(ports_.size());
  }
  /// What the driver sees of the cable; a port whose other end has gone takes it down.
  void set_link_up(bool up);
  /// Asks the driver to tell the network where it is now, as after a migration. False: there is no
  /// driver, or it cannot.
  bool announce();
  /// Tells the network by a RARP packet that this address is here now, for drivers that cannot:
  /// whether the first port took it.
  [[nodiscard]] bool send_rarp(const MacAddress& mac) const;
  /// The MTU from the next activation on, where it is told to the driver. Errors: EINVAL below 68.
  Result<void> set_mtu(std::uint16_t mtu);
  /// 0: none was given.
  [[nodiscard]] std::uint16_t mtu() const { return mtu_.load(std::memory_order_relaxed); }

  /// What it has moved. From any thread.
  [[nodiscard]] NetCounters counters() const;

  // For the device's own workers.

  /// As create() got them.
  [[nodiscard]] const NetOptions& options() const { return options_; }
  /// The counters of a pair below queue_pairs().
  [[nodiscard]] PairCounters& pair_counters(std::uint16_t pair) { return *counters_[pair]; }
  /// mtu(), as it was when the driver that is there began.
  [[nodiscard]] std::uint16_t driver_mtu();
  bool set_queue_pairs(std::uint16_t pairs) override;
  bool set_guest_offloads(std::uint64_t features) override;
  bool set_mac(const MacAddress& mac) override;
  bool end_announcement() override;
  [[nodiscard]] bool negotiated(NetFeature feature) const override {
    return (negotiated_ & bit(feature)) != 0;
  }

 private:
  Net(const NetOptions& options, std::vector<NetPort> ports,
      std::vector<std::unique_ptr<PacketEngine>> engines);
  /// The queues of one pair, and those that are not for packets.
  struct Pair {
    std::vector<virtio_device::ActiveQueue> packets;
    std::vector<virtio_device::ActiveQueue> others;
  };
  std::vector<Pair> sort_queues(std::vector<virtio_device::ActiveQueue> queues) const;
  static std::uint16_t pairs_with_queues(const std::vector<Pair>& pairs);
  Result<std::unique_ptr<virtio_device::Worker>> make_worker(
      std::uint16_t pair, Pair queues, const virtio_device::Activation& activation);
  /// How many pairs there are for this driver.
  [[nodiscard]] std::uint16_t pairs_in_use() const;
  /// Changes bits of the status, and tells the driver.
  void change_status(std::uint16_t set, std::uint16_t clear);
  bool enable_pairs(std::uint16_t pairs);

  NetOptions options_;
  std::vector<NetPort> ports_;
  std::vector<std::unique_ptr<PacketEngine>> engines_;
  std::vector<std::unique_ptr<PairCounters>> counters_;
  std::uint64_t engine_features_;
  std::vector<std::uint16_t> queue_sizes_;
  std::uint64_t features_;
  std::uint64_t negotiated_ = 0;  // the same as long as interrupt_ is there
  std::uint16_t enabled_pairs_;
  std::atomic<std::uint16_t> mtu_;
  Mutex mutex_;
  MacAddress mac_ VMM_GUARDED_BY(mutex_);
  std::uint16_t status_ VMM_GUARDED_BY(mutex_) = kLinkUp;
  std::shared_ptr<virtio_device::Interrupt> interrupt_ VMM_GUARDED_BY(mutex_);
  std::optional<std::uint16_t> told_mtu_ VMM_GUARDED_BY(mutex_);  // to the driver that is there
};

}  // namespace vmm::virtio_net
