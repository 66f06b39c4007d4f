// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "connection.h"

#include <sys/socket.h>

#include <algorithm>
#include <string>
#include <utility>

namespace vmm::virtio_vsock {
namespace {

using event_manager::EventSet;
using virtio_queue::Reader;
using virtio_queue::Writer;

constexpr std::uint32_t kMaxPayload = 64 << 10;  // of a packet to the guest
constexpr EventSet kWatched = sys_util::kReadable | sys_util::kPeerClosed | sys_util::kOnChange;
constexpr EventSet kGone = sys_util::kHangUp | sys_util::kError;

}  // namespace

EventSet Connection::watched_events() { return kWatched; }

Connection::Connection(Start start, const Limits& limits)
    : key_(start.key),
      type_(start.type),
      state_(start.state),
      limits_(limits),
      host_(std::move(start.socket), start.type, start.capacity),
      receive_credit_(start.capacity) {
  if (state_ == State::kWaiting) {
    set_deadline(limits_.backlog);
  } else if (state_ == State::kRequested) {
    pending_ = kSendRequest;
    set_deadline(limits_.request);
  } else {
    pending_ = kSendResponse;
    readable_ = true;
  }
}

void Connection::connected(UniqueFd socket) {
  host_ = HostEnd(std::move(socket), type_, capacity());
  pending_ = kSendResponse;
  open();
}

void Connection::open() {
  state_ = State::kOpen;
  readable_ = true;
  deadline_.reset();
}

void Connection::reset() {
  if (state_ == State::kReset) return;
  state_ = State::kReset;
  watch_.reset();
  host_.close();
  deadline_.reset();
  pending_ = 0;
}

bool Connection::end() {
  if (state_ != State::kOpen || (guest_done_ & kShutdownSend) == 0 || host_.flushed()) return true;
  state_ = State::kLingering;
  pending_ = 0;
  host_.finish();
  host_.stop_reading();
  set_deadline(limits_.linger);
  return false;
}

void Connection::handle(const PacketHeader& header, Reader payload) {
  if (state_ == State::kReset) return;
  if (header.type != type_ || !set_credit(header)) return reset();
  if (header.op == Op::kResponse && state_ == State::kRequested) return accepted();
  if (header.op == Op::kCreditUpdate && state_ == State::kRequested) return;
  if (state_ != State::kOpen) return reset();
  switch (header.op) {
    case Op::kData:
      return take_data(header, payload);
    case Op::kShutdown:
      return guest_shuts_down(header.flags);
    case Op::kCreditUpdate:
      return;
    case Op::kCreditRequest:
      pending_ |= kSendUpdate;
      return;
    default:
      return reset();
  }
}

void Connection::accepted() {
  const std::string greeting = "OK " + std::to_string(key_.local) + "\n";
  const ssize_t sent = ::send(fd(), greeting.data(), greeting.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(greeting.size())) return reset();
  open();
}

void Connection::take_data(const PacketHeader& header, Reader payload) {
  if ((guest_done_ & kShutdownSend) != 0 || !receive_credit_.receive(header.len)) return reset();
  forward(host_.write(payload, header.flags));
}

void Connection::forward(std::uint32_t bytes) {
  receive_credit_.forward(bytes);
  if (host_.refuses()) host_ends(kShutdownReceive);
  if (guest_done_ == kShutdownBoth && host_.flushed()) return reset();
  watch_room();
}

// Room is watched for only while something waits for it: each byte that the host takes would be
// an event.
void Connection::watch_room() {
  const bool wanted = host_.blocked();
  if (!watch_ || wanted == watches_room_) return;
  watches_room_ = wanted;
  (void)watch_.modify(wanted ? kWatched | sys_util::kWritable : kWatched);
}

void Connection::guest_shuts_down(std::uint32_t flags) {
  const std::uint32_t news = flags & kShutdownBoth & ~guest_done_;
  guest_done_ |= news;
  if ((news & kShutdownSend) != 0) host_.finish();
  if ((news & kShutdownReceive) != 0) host_.stop_reading();
  if (guest_done_ == kShutdownBoth) {
    if (host_.flushed() || host_.refuses()) return reset();
    set_deadline(limits_.linger);
  }
}

void Connection::host_ends(std::uint32_t flags) {
  host_done_ |= flags;
  // Nobody will read to the end that the guest does not want.
  if (hung_up_ && (guest_done_ & kShutdownReceive) != 0) host_done_ = kShutdownBoth;
}

void Connection::socket_ready(EventSet ready) {
  if (ready.has_any(sys_util::kReadable | sys_util::kPeerClosed | kGone)) readable_ = true;
  if (ready.has_any(kGone)) hung_up_ = true;
  if (state_ == State::kRequested) {
    if (hung_up_) reset();
    return;
  }
  if (state_ != State::kOpen && state_ != State::kLingering) return;
  if (!host_.flushed() && (hung_up_ || ready.has_any(sys_util::kWritable))) {
    const std::uint32_t gone = hung_up_ ? host_.give_up() : host_.flush();
    if (gone != 0 && guest_done_ == kShutdownBoth) set_deadline(limits_.linger);
    if (state_ == State::kOpen)
      forward(gone);
    else
      watch_room();
  }
  if (hung_up_ && state_ == State::kOpen) {
    (void)host_.give_up();
    host_ends(kShutdownReceive);
  }
}

bool Connection::has_turn() const {
  if (state_ == State::kReset || pending_ != 0) return true;
  if (state_ != State::kOpen) return false;
  if (host_done_ != announced_ || receive_credit_.update_due()) return true;
  return wants_data() && (send_credit_.available() != 0 || !asked_for_credit_);
}

std::optional<PacketHeader> Connection::read_host(const Writer& payload) {
  const std::uint32_t limit =
      std::min({send_credit_.available(), payload.remaining(), kMaxPayload});
  const HostEnd::Received received = host_.read(payload, limit, send_credit_.buffer());
  switch (received.what) {
    case HostEnd::Read::kData:
      send_credit_.sent(received.bytes);
      asked_for_credit_ = false;
      return PacketHeader{.len = received.bytes, .op = Op::kData, .flags = received.flags};
    case HostEnd::Read::kNothing:
      readable_ = false;
      return std::nullopt;
    case HostEnd::Read::kEnd:
      host_ends(hung_up_ ? kShutdownBoth : kShutdownSend);
      return std::nullopt;
    case HostEnd::Read::kTooLarge:
      reset();
  }
  return std::nullopt;
}

// That the host sends no more is known only when all it sent was read. That it reads no more is
// told at once; but when it is gone, what it left is bounded, and both ends are told in one.
std::optional<PacketHeader> Connection::next_packet(const Writer& payload) {
  if (state_ == State::kReset) return PacketHeader{.op = Op::kReset};
  if ((pending_ & kSendRequest) != 0) {
    pending_ = 0;
    return PacketHeader{.op = Op::kRequest};
  }
  if ((pending_ & kSendResponse) != 0) {
    pending_ = 0;
    return PacketHeader{.op = Op::kResponse};
  }
  if ((host_done_ == announced_ || hung_up_) && wants_data()) {
    if (send_credit_.available() != 0) {
      if (auto packet = read_host(payload)) return packet;
      if (state_ == State::kReset) return PacketHeader{.op = Op::kReset};
    } else if (!asked_for_credit_) {
      asked_for_credit_ = true;
      return PacketHeader{.op = Op::kCreditRequest};
    }
  }
  if (host_done_ != announced_) {
    announced_ = host_done_;
    if (announced_ == kShutdownBoth) set_deadline(limits_.close);
    return PacketHeader{.op = Op::kShutdown, .flags = announced_};
  }
  if ((pending_ & kSendUpdate) != 0 || receive_credit_.update_due()) {
    return PacketHeader{.op = Op::kCreditUpdate};
  }
  return std::nullopt;
}

Connection::Turn Connection::take_turn(std::uint64_t cid, Writer header, Writer payload,
                                       std::uint32_t* written) {
  std::optional<PacketHeader> packet = next_packet(payload);
  if (!packet) return Turn::kNothing;
  packet->src_cid = kHostCid;
  packet->dst_cid = cid;
  packet->src_port = key_.local;
  packet->dst_port = key_.peer;
  packet->type = type_;
  packet->buf_alloc = receive_credit_.capacity();
  packet->fwd_cnt = receive_credit_.tell_forwarded();
  pending_ = static_cast<std::uint8_t>(pending_ & ~kSendUpdate);  // each packet is one
  (void)header.write_obj(packet->wire());
  (void)payload.commit(packet->len);
  *written = kHeaderBytes + packet->len;
  return packet->op == Op::kReset ? Turn::kLast : Turn::kSent;
}

}  // namespace vmm::virtio_vsock
