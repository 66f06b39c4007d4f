// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What comes to a guest over its connections, beside what programs of the host sent and what the
// guest had room for.

#include <algorithm>
#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "fuzz_input.h"
#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_vsock/vsock.h"

/// What programs of the host put into their sockets. The bytes of a socket begin with its number
/// and are one more each, so that they tell whose they are.
class HostBytes {
 public:
  static constexpr std::size_t kMost = 256;

  struct Socket {
    std::uint64_t bytes = 0;  // that it took
    std::vector<std::uint64_t> messages;
    bool has_connection = false;
  };

  /// The number of a new socket.
  [[nodiscard]] std::uint8_t add() {
    require(count_ < kMost);
    return static_cast<std::uint8_t>(count_++);
  }
  [[nodiscard]] Socket& operator[](std::uint8_t number) { return sockets_[number]; }

  static std::byte byte(std::uint8_t number, std::uint64_t at) {
    return static_cast<std::byte>(number + at);
  }

 private:
  std::size_t count_ = 0;
  std::array<Socket, kMost> sockets_;
};

/// Connections as the guest has them.
class GuestWatch {
 public:
  using Header = vmm::virtio_vsock::PacketHeader;
  using Op = vmm::virtio_vsock::Op;

  explicit GuestWatch(HostBytes& host) : host_(host) {}

  /// How many bytes came over a connection of these ports.
  [[nodiscard]] std::uint64_t received(std::uint32_t host_port, std::uint32_t guest_port) {
    return connections_[{host_port, guest_port}].bytes;
  }
  void restarted() {
    connections_.clear();
    under_way_.clear();
    back_ = 0;
  }
  /// The device has ended all connections, without a word for each.
  void ended_all() {
    for (auto& [ports, connection] : connections_) connection.may_be_gone = true;
  }
  /// The guest has sent a packet.
  void sent(const Header& header) {
    const Ports ports = {header.dst_port, header.src_port};
    Connection& it = connections_[ports];
    it.rooms.push_back(header.buf_alloc);
    it.passed_on.push_back(header.fwd_cnt);
    if (header.op == Op::kRequest) {
      ++it.requests;
      it.guest_will = 0;
    }
    if (header.op == Op::kReset) it.may_be_gone = true;
    if (header.op == Op::kData) it.sent_bytes += header.len;
    if (header.op == Op::kShutdown) {
      it.guest_will |= header.flags;
      it.guest_done |= header.flags;
    }
    under_way_.push_back(ports);
  }
  /// One more of its packets is done with.
  void came_back() { ++back_; }
  /// All that came is looked at: what comes later comes after the packets that are done with.
  void caught_up() {
    for (; back_ != 0; --back_) {
      Connection& it = connections_[under_way_.front()];
      under_way_.pop_front();
      // Of those that are done with, the last one counts.
      if (it.has_room) it.rooms.pop_front();
      it.has_room = true;
    }
  }
  /// A packet of the device.
  void came(const Header& header, const vmm::virtio_device::testing::Answer& answer) {
    Connection& it = connections_[{header.src_port, header.dst_port}];
    switch (header.op) {
      case Op::kRequest:
        require(header.src_port >= 1u << 30);
        open(it, header);
        break;
      case Op::kResponse:
        require(it.requests-- != 0);
        open(it, header);
        break;
      case Op::kReset:
        it.is_open = false;
        return;
      default:
        break;
    }
    require(it.is_open && header.type == it.type && header.buf_alloc == it.capacity);
    // It says of no byte twice, or of one that the guest did not send, that it was passed on.
    require(header.fwd_cnt >= it.host_passed_on && header.fwd_cnt <= it.sent_bytes);
    it.host_passed_on = header.fwd_cnt;
    if (header.op == Op::kData) data(it, header, answer);
    if (header.op == Op::kShutdown) shut_down(it, header.flags);
  }

 private:
  using Ports = std::pair<std::uint32_t, std::uint32_t>;
  struct Connection {
    std::uint64_t requests = 0;  // of the guest, without an answer
    bool is_open = false;
    bool may_be_gone = false;  // the guest or all have ended it, perhaps before it began
    vmm::virtio_vsock::SocketType type{};
    std::uint32_t capacity = 0;
    std::uint64_t sent_bytes = 0;  // by the guest, whatever became of them
    std::uint32_t host_passed_on = 0;
    std::uint32_t guest_done = 0;  // flags of a shutdown
    std::uint32_t guest_will = 0;  // those since its last request
    std::uint32_t host_done = 0;
    std::uint64_t bytes = 0;       // that came
    std::uint64_t in_message = 0;  // of them, in one that has not ended
    std::size_t messages = 0;
    std::optional<std::uint8_t> socket;  // whose bytes they are
    // What the guest said of its buffer in packets that may not be done with, and in the last one
    // that is, if there is any; and of what it has passed on.
    std::deque<std::uint32_t> rooms;
    bool has_room = false;
    std::vector<std::uint32_t> passed_on;
  };

  static void open(Connection& it, const Header& header) {
    require(!it.is_open || it.may_be_gone);
    it.is_open = true;
    it.guest_done = it.guest_will;
    it.type = header.type;
    it.capacity = header.buf_alloc;
    require(it.capacity != 0);
    it.host_passed_on = it.host_done = 0;
    it.bytes = it.in_message = 0;
    it.messages = 0;
    it.socket.reset();
  }
  void data(Connection& it, const Header& header,
            const vmm::virtio_device::testing::Answer& answer) {
    require((it.host_done & vmm::virtio_vsock::kShutdownSend) == 0);
    const std::uint8_t first =
        std::to_integer<std::uint8_t>(answer.bytes[vmm::virtio_vsock::kHeaderBytes]);
    if (!it.socket) {
      it.socket = first;
      require(!std::exchange(host_[first].has_connection, true));
    }
    HostBytes::Socket& socket = host_[*it.socket];
    for (std::uint32_t i = 0; i < header.len; ++i) {
      require(answer.bytes[vmm::virtio_vsock::kHeaderBytes + i] ==
              HostBytes::byte(*it.socket, it.bytes + i));
    }
    check_room(it, header.len);
    it.bytes += header.len;
    require(it.bytes <= socket.bytes);
    if (it.type == vmm::virtio_vsock::SocketType::kStream) return require(header.flags == 0);
    it.in_message += header.len;
    require(it.messages < socket.messages.size() && it.in_message <= socket.messages[it.messages]);
    const bool ends = it.in_message == socket.messages[it.messages];
    require(header.flags == (ends ? vmm::virtio_vsock::kEndOfMessage : 0));
    if (!ends) return;
    it.in_message = 0;
    ++it.messages;
  }
  /// There was room for so many more bytes, as the guest has said.
  static void check_room(const Connection& it, std::uint32_t more) {
    std::uint64_t passed_on = 0;
    for (const std::uint32_t bytes : it.passed_on) {
      if (bytes <= it.bytes) passed_on = std::max<std::uint64_t>(passed_on, bytes);
    }
    require(!it.rooms.empty());
    const std::uint64_t room = *std::max_element(it.rooms.begin(), it.rooms.end());
    require(it.bytes + more <= passed_on + room);
  }
  /// Who sends no more has sent all, unless the guest did not want it.
  void shut_down(Connection& it, std::uint32_t flags) {
    require((flags & it.host_done) == it.host_done);
    it.host_done = flags;
    const bool ends = (flags & vmm::virtio_vsock::kShutdownSend) != 0;
    if (!ends || !it.socket || (it.guest_done & vmm::virtio_vsock::kShutdownReceive) != 0) return;
    require(it.bytes == host_[*it.socket].bytes);
  }

  HostBytes& host_;
  std::map<Ports, Connection> connections_;
  std::deque<Ports> under_way_;  // packets of the guest
  std::size_t back_ = 0;         // of them, done with
};
