// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "src/vnet_header.h"
#include "vmm/base/endian.h"
#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_net/net.h"

namespace vmm::virtio_net {

using Bytes = std::vector<std::uint8_t>;

/// Bytes that tell packets, and places in them, apart.
inline Bytes pattern(std::size_t bytes, std::uint8_t seed = 1) {
  Bytes all(bytes);
  for (std::size_t i = 0; i < bytes; ++i) {
    all[i] = static_cast<std::uint8_t>(seed + i * 7 + i / 256);
  }
  return all;
}

/// The two ends of a socket that keeps packets apart.
struct Ends {
  NetPort port;
  UniqueFd host;
};

inline Ends ends(bool has_header, int type = SOCK_SEQPACKET) {
  int fds[2] = {-1, -1};
  (void)::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, fds);
  const int room = 106'496;  // Linux' own default, of which it makes the double
  (void)::setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &room, sizeof(room));
  return {.port = *NetPort::adopt_socket(UniqueFd(fds[0]), has_header), .host = UniqueFd(fds[1])};
}

inline Bytes with_header(const VnetHeader& header, const Bytes& packet) {
  Bytes all(sizeof(header));
  std::memcpy(all.data(), &header, sizeof(header));
  all.insert(all.end(), packet.begin(), packet.end());
  return all;
}

/// A network device and its driver, on the test's own thread. The host's end is host[pair].
class NetRig {
 public:
  static constexpr std::uint16_t kQueueSize = 64;
  using Buffer = virtio_device::testing::Buffer;
  using Used = virtio_queue::driver::Used;

  struct Setup {
    NetOptions options{};
    std::uint16_t pairs = 1;
    bool has_header = false;
    int type = SOCK_SEQPACKET;
    std::uint16_t queue_size = kQueueSize;
  };

  explicit NetRig(const Setup& setup) : queue_size_(setup.queue_size) {
    std::vector<NetPort> ports;
    for (std::uint16_t pair = 0; pair < setup.pairs; ++pair) {
      Ends both = ends(setup.has_header, setup.type);
      ports.push_back(std::move(both.port));
      host.push_back(std::move(both.host));
    }
    NetOptions options = setup.options;
    options.queue_size = std::max(options.queue_size, queue_size_);
    net = *Net::create(options, std::move(ports));
  }
  NetRig(const NetOptions& options, std::vector<NetPort> ports)
      : net(*Net::create(options, std::move(ports))) {}

  /// The driver takes these of the offered features, and goes up to DRIVER_OK.
  void start(std::uint64_t features) {
    constexpr std::uint64_t kOfRings =
        virtio_queue::kFeaturePacked | virtio_queue::kFeatureEventIdx;
    rig_.emplace(net, virtio_device::testing::RigOptions{
                          .packed = (features & virtio_queue::kFeaturePacked) != 0,
                          .event_idx = (features & virtio_queue::kFeatureEventIdx) != 0,
                          .features = features & ~kOfRings,
                          .queue_size = queue_size_});
    started = rig_->start();
    rig_->run();
  }
  virtio_device::testing::DeviceRig& rig() { return *rig_; }
  virtio_device::TransportCore& core() { return rig_->core(); }
  virtio_queue::driver::Driver& driver(std::uint16_t queue) { return rig_->driver(queue); }
  void run() { rig_->run(); }

  /// Sets a queue up again that was reset.
  void restart(std::uint16_t index) {
    const virtio_queue::RingAddresses rings{
        .descriptors = room(0x1000), .driver = room(0x1000), .device = room(0x1000)};
    virtio_queue::QueueConfig* const queue = core().editable_queue(index);
    if (queue == nullptr) return;
    (void)queue->set_size(kQueueSize);
    (void)queue->set_descriptors(rings.descriptors);
    (void)queue->set_driver(rings.driver);
    (void)queue->set_device(rings.device);
    driver(index) = *virtio_queue::driver::Driver::create({.rings = rings,
                                                           .size = kQueueSize,
                                                           .packed = rig_->options().packed,
                                                           .event_idx = rig_->options().event_idx},
                                                          rig_->memory());
    core().enable_queue(index);
  }

  /// Room in guest memory, never given back.
  GuestAddress room(std::size_t bytes) { return rig_->heap().take(bytes); }
  GuestAddress put(const Bytes& bytes) { return rig_->heap().put(std::as_bytes(std::span(bytes))); }
  Bytes get(GuestAddress at, std::size_t bytes) {
    Bytes all(bytes);
    (void)rig_->memory().read_bytes(at, std::as_writable_bytes(std::span(all)));
    return all;
  }

  /// Makes a chain available, kicks, and runs the device.
  void offer(std::uint16_t queue, const std::vector<Buffer>& buffers) {
    last_token = rig_->send_raw(queue, buffers).value_or(0xffff);
    run();
  }
  std::optional<Used> reap(std::uint16_t queue) {
    const auto answer = rig_->receive(queue);
    if (!answer) return std::nullopt;
    return Used{.token = answer->token, .written = answer->written};
  }
  /// A receive buffer of one piece; where it is.
  GuestAddress give_room(std::size_t bytes, std::uint16_t queue = 0) {
    const GuestAddress at = room(bytes);
    offer(queue,
          {{.address = at, .length = static_cast<std::uint32_t>(bytes), .device_writable = true}});
    return at;
  }
  /// Sends one packet with a header before it, in one piece.
  void transmit(const VnetHeader& header, const Bytes& packet, std::uint16_t queue = 1) {
    offer(queue, {whole(header, packet)});
  }
  Buffer whole(const VnetHeader& header, const Bytes& packet) {
    const Bytes all = with_header(header, packet);
    return {.address = put(all), .length = static_cast<std::uint32_t>(all.size())};
  }
  /// A command of the control queue; the device's answer, 0xff for none.
  std::uint8_t command(const Bytes& bytes, std::uint16_t queue = 2) {
    const GuestAddress at = put(bytes);
    const GuestAddress ack = put({0xff});
    offer(queue, {{.address = at, .length = static_cast<std::uint32_t>(bytes.size())},
                  {.address = ack, .length = 1, .device_writable = true}});
    (void)reap(queue);
    return get(ack, 1)[0];
  }

  /// What the host sends, and gets; empty: nothing.
  void host_send(const Bytes& bytes, std::size_t pair = 0) {
    (void)!::send(host[pair].get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    run();
  }
  Bytes host_receive(std::size_t pair = 0) const {
    Bytes bytes(70000);
    const ssize_t got = ::recv(host[pair].get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    bytes.resize(got < 0 ? 0 : static_cast<std::size_t>(got));
    return bytes;
  }
  /// As drivers read it: 2.5.
  template <class T>
  T config(std::uint64_t offset) {
    return rig_->config<T>(offset);
  }

  std::vector<UniqueFd> host;
  std::shared_ptr<Net> net;
  std::uint16_t last_token = 0;
  bool started = false;

  /// `count` descriptors of `bytes` bytes, one behind the other.
  static std::vector<Buffer> cut(GuestAddress at, std::size_t count, std::uint32_t bytes,
                                 bool writable) {
    std::vector<Buffer> all;
    for (std::size_t i = 0; i < count; ++i) {
      all.push_back({.address = GuestAddress(at.raw() + i * bytes),
                     .length = bytes,
                     .device_writable = writable});
    }
    return all;
  }

 private:
  std::uint16_t queue_size_ = kQueueSize;
  std::optional<virtio_device::testing::DeviceRig> rig_;
};

/// The features of queues that a driver may take.
inline constexpr std::array<std::uint64_t, 4> kRings{
    0, virtio_queue::kFeatureEventIdx, virtio_queue::kFeaturePacked,
    virtio_queue::kFeaturePacked | virtio_queue::kFeatureEventIdx};

}  // namespace vmm::virtio_net
