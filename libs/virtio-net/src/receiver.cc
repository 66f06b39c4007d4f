// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "receiver.h"

#include <algorithm>
#include <utility>

#include "gate_watch.h"
#include "vmm/base/endian.h"

namespace vmm::virtio_net {
namespace {

using virtio_queue::IoVec;

constexpr std::uint32_t kLargest = kNetHeaderBytes + kMaxPacketBytes;
constexpr std::uint32_t kUsual = kNetHeaderBytes + 2048;  // when the host does not aggregate

std::uint32_t wanted_room(std::uint64_t features) {
  using enum NetFeature;
  const std::uint64_t large =
      bit(kGuestTso4) | bit(kGuestTso6) | bit(kGuestUfo) | bit(kGuestUso4) | bit(kGuestUso6);
  return (features & large) != 0 ? kLargest : kUsual;
}

std::uint32_t room_of(const virtio_queue::Chain& buffer) {
  return std::min(buffer.writable_bytes(), kLargest);
}

}  // namespace

Receiver::Receiver(const NetPort& port, virtio_device::ActiveQueue queue,
                   std::shared_ptr<virtio_device::Interrupt> interrupt, const Rules& rules,
                   rate_limiter::RateGate gate)
    : port_(port),
      runner_(std::move(queue), std::move(interrupt)),
      rules_(rules),
      gate_(std::move(gate)),
      mergeable_((rules.features & bit(NetFeature::kMrgRxbuf)) != 0),
      wanted_(wanted_room(rules.features)),
      spill_(std::make_unique<std::byte[]>(kLargest)) {
  const std::size_t pieces = runner_.queue().size();
  storage_ = std::make_unique_for_overwrite<std::byte[]>(kHeld * pieces * sizeof(IoVec));
  auto* room = reinterpret_cast<IoVec*>(storage_.get());
  for (auto& buffer : buffers_) {
    buffer.emplace(std::span(room, pieces));
    room += pieces;
  }
}

Result<void> Receiver::start(event_manager::EventLoop& loop) {
  VMM_TRY(gate_watch_, watch_gate(loop, gate_, [this] { serve(); }));
  return runner_.start(loop, [this] { serve(); });
}

void Receiver::put_back() {
  runner_.stop();
  gate_watch_.reset();
  port_empty_ = true;
  let_go();
  runner_.flush();
}

// The last one first. Those in front of one that went back to the driver meanwhile have lost their
// place in the ring, and go back empty.
void Receiver::let_go() {
  for (; undoable_ != 0; --undoable_) (void)runner_.queue().undo_pop(held(--count_));
  for (std::size_t i = 0; i < count_; ++i) runner_.complete(held(i).head(), 0);
  count_ = 0;
  room_ = 0;
  bytes_ = 0;
}

bool Receiver::let_go_of_old() {
  if (count_ == 0 || held_of_ == runner_.queue().memory_changes()) return false;
  let_go();
  return true;
}

void Receiver::serve() {
  if (runner_.broken() || gate_.is_shut()) return;
  if (!runner_.queue().refresh()) return (void)runner_.pop(held(count_));  // tells the driver
  (void)let_go_of_old();
  runner_.queue().disable_notifications();
  for (left_ = virtio_device::QueueRunner::kBudget; left_ != 0; --left_) {
    const Step step = advance();
    if (runner_.broken()) return;
    if (step == Step::kNothingToDo) break;
    if (step == Step::kNoBuffers && !runner_.queue().enable_notifications()) break;
    if (left_ == 0) break;  // used up by gather()
  }
  runner_.flush();
  if (left_ == 0) runner_.kick_again();
}

Receiver::Step Receiver::advance() {
  if (bytes_ != 0) return deliver();
  if (port_empty_) return Step::kNothingToDo;
  gather(wanted_);
  if (let_go_of_old()) return Step::kDone;
  if (count_ == 0) return Step::kNoBuffers;
  const Step step = read_packet();
  return bytes_ != 0 ? deliver() : step;
}

Receiver::Step Receiver::deliver() {
  if (!paid_ && !gate_.pass(1, bytes_ - kNetHeaderBytes)) return Step::kNothingToDo;
  paid_ = true;
  if (!place_rest()) return bytes_ == 0 ? Step::kDone : Step::kNoBuffers;
  give();
  return Step::kDone;
}

void Receiver::gather(std::uint32_t wanted) {
  const std::size_t most = mergeable_ ? kHeld : 1;
  while (count_ < most && (room_ < wanted || count_ == 0)) {
    Buffer& buffer = held(count_);
    const std::uint64_t passed_over = runner_.passed_over();
    const bool popped = runner_.pop(buffer);
    if (runner_.passed_over() != passed_over) undoable_ = 0;
    if (!popped) return;
    if (buffer.readable_bytes() != 0 || buffer.writable_bytes() < kNetHeaderBytes) {
      runner_.complete(buffer.head(), 0);  // not what 5.1.6.3 asks for
      undoable_ = 0;
      if (left_ == 0 || --left_ == 0) return;
      continue;
    }
    // No sum of lengths can pass 32 bits: it would take 2^16 buffers of 64 KiB.
    room_ += room_of(buffer);
    if (count_++ == 0) held_of_ = runner_.queue().memory_changes();
    ++undoable_;
  }
}

Receiver::Step Receiver::read_packet() {
  pieces_[0] = {&header_, sizeof(header_)};
  std::size_t listed = 1 + list_room(std::span(pieces_).subspan(1, kListed));
  pieces_[listed++] = {spill_.get(), kLargest};
  const std::size_t unused = port_.has_header() ? 0 : 1;
  std::size_t read = 0;
  switch (port_.receive(std::span(pieces_).first(listed).subspan(unused), read)) {
    case NetPort::Received::kNothing:
      port_empty_ = true;
      return Step::kNothingToDo;
    case NetPort::Received::kLost:
      return Step::kDone;
    case NetPort::Received::kPacket:
      break;
  }
  const auto bytes = static_cast<std::uint32_t>(read) + (unused == 0 ? 0 : kNetHeaderBytes);
  if (unused != 0) header_ = {};
  if (bytes <= kNetHeaderBytes ||
      !accept_from_host(header_, bytes - kNetHeaderBytes, rules_.features, rules_.mtu)) {
    return Step::kDone;
  }
  bytes_ = bytes;
  paid_ = false;
  return Step::kDone;
}

virtio_queue::Writer Receiver::room_in(std::size_t index) const {
  virtio_queue::Writer room = held(index).writer();
  if (index == 0) (void)room.skip(kNetHeaderBytes);
  return room;
}

// Where a packet goes in the held buffers, behind the place of its header.
std::size_t Receiver::list_room(std::span<IoVec> out) {
  std::size_t listed = 0;
  placed_ = kNetHeaderBytes;
  for (placed_in_ = 0; placed_in_ < count_; ++placed_in_) {
    const Buffer& buffer = held(placed_in_);
    if (buffer.unsafe_writable().size() > out.size() - listed) break;
    const std::uint32_t bytes = room_of(buffer) - (placed_in_ == 0 ? kNetHeaderBytes : 0);
    listed += room_in(placed_in_).unsafe_iovec(out.subspan(listed), bytes);
    placed_ += bytes;
  }
  return listed;
}

bool Receiver::place_rest() {
  if (bytes_ <= placed_) return true;
  gather(bytes_);
  if (let_go_of_old()) return false;
  if (room_ < bytes_) {  // too large for the buffers: for the time being, or for good
    if (!mergeable_ || count_ == kHeld) bytes_ = 0;
    return false;
  }
  std::span<const std::byte> rest(spill_.get(), bytes_ - placed_);
  for (std::size_t i = placed_in_; !rest.empty(); ++i) {
    rest = rest.subspan(room_in(i).write(rest));
  }
  placed_ = bytes_;
  return true;
}

// The number of buffers is told in the first one, while it is still ours.
void Receiver::give() {
  std::uint16_t buffers = 0;
  for (std::uint32_t left = bytes_; left != 0; ++buffers) {
    left -= std::min(left, room_of(held(buffers)));
  }
  rules_.traffic.count(bytes_ - kNetHeaderBytes);
  header_.buffers = Le16(buffers);
  (void)held(0).writer().write_obj(header_);
  while (bytes_ != 0) {
    Buffer& buffer = held(0);
    const std::uint32_t part = std::min(bytes_, room_of(buffer));
    buffer.mark_written(part);
    runner_.complete(buffer.head(), part);
    room_ -= room_of(buffer);
    first_ = (first_ + 1) % kHeld;
    --count_;
    bytes_ -= part;
  }
  undoable_ = std::min(undoable_, count_);
}

}  // namespace vmm::virtio_net
