// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "receiver.h"

#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "vmm/base/endian.h"

namespace vmm::virtio_net {
namespace {

using virtio_queue::IoVec;

constexpr std::uint32_t kLargest = kNetHeaderBytes + kMaxPacketBytes;
constexpr std::uint32_t kUsual = kNetHeaderBytes + 2048;  // when the host does not aggregate
constexpr std::uint32_t kNumBuffersOffset = 10;           // in the header: 5.1.6

std::uint32_t wanted_room(std::uint64_t features) {
  using enum NetFeature;
  const std::uint64_t large = bit(kGuestTso4) | bit(kGuestTso6) | bit(kGuestUfo);
  return (features & large) != 0 ? kLargest : kUsual;
}

}  // namespace

Receiver::Receiver(const NetPort& port, virtio_device::ActiveQueue queue,
                   std::shared_ptr<virtio_device::Interrupt> interrupt, std::uint64_t features)
    : port_(port),
      runner_(std::move(queue), std::move(interrupt)),
      mergeable_((features & bit(NetFeature::kMrgRxbuf)) != 0),
      wanted_(wanted_room(features)),
      buffers_(std::make_unique<Buffer[]>(kHeld)),
      spill_(std::make_unique<std::byte[]>(kLargest)) {}

void Receiver::serve() {
  if (!runner_.broken() && !runner_.queue().refresh()) (void)runner_.pop(held(count_));
  if (runner_.broken()) return;
  runner_.queue().disable_notifications();
  std::uint32_t left = virtio_device::QueueRunner::kBudget;
  for (; left != 0 && !port_empty_; --left) {
    const Step step = receive();
    if (step == Step::kPortEmpty) port_empty_ = true;
    if (step == Step::kNoBuffers && !runner_.queue().enable_notifications()) break;
    if (runner_.broken()) return;
  }
  runner_.flush();
  if (left == 0) runner_.kick_again();
}

Receiver::Step Receiver::receive() {
  gather();
  if (spilled_ != 0) return finish_spilled();
  if (count_ == 0) return Step::kNoBuffers;
  const ssize_t read = read_packet();
  if (read <= ssize_t{kNetHeaderBytes}) return Step::kPortEmpty;  // also an end, and errors
  const auto bytes = static_cast<std::uint32_t>(read);
  if (bytes <= placed_) {
    give(bytes);
    return Step::kReceived;
  }
  // Too large for the buffers: for the time being, or for good.
  if (!mergeable_ || count_ == kHeld) return Step::kDropped;
  spilled_ = bytes - placed_;
  return finish_spilled();
}

void Receiver::gather() {
  const std::size_t most = mergeable_ ? kHeld : 1;
  const std::uint32_t wanted = std::max(wanted_, placed_ + spilled_);
  while (count_ < most && (room_ < wanted || count_ == 0)) {
    Buffer& buffer = held(count_);
    if (!runner_.pop(buffer)) return;
    if (buffer.readable_bytes() != 0 || buffer.writable_bytes() < kNetHeaderBytes) {
      runner_.complete(buffer.head(), 0);  // not what 5.1.6.3 asks for
      continue;
    }
    // No sum of lengths can pass 32 bits: it would take 2^16 buffers of 64 KiB.
    room_ += std::min(buffer.writable_bytes(), kLargest);
    ++count_;
  }
}

ssize_t Receiver::read_packet() {
  std::array<IoVec, kListed + 1> pieces;
  std::size_t listed = 0;
  placed_ = 0;
  placed_in_ = 0;
  const std::uint32_t skip = port_.has_header() ? 0 : kNetHeaderBytes;
  for (; placed_in_ < count_ && listed + kMaxPieces <= kListed && placed_ < kLargest;
       ++placed_in_) {
    virtio_queue::Writer room = held(placed_in_).writer();
    if (placed_in_ == 0) (void)room.skip(skip);
    const std::uint32_t bytes = std::min(held(placed_in_).writable_bytes(), kLargest);
    listed += room.unsafe_iovec(std::span(pieces).subspan(listed, kMaxPieces),
                                bytes - (placed_in_ == 0 ? skip : 0));
    placed_ += bytes;
  }
  pieces[listed++] = {spill_.get(), kLargest};
  ssize_t read = 0;
  do {
    read = ::readv(port_.fd(), reinterpret_cast<const iovec*>(pieces.data()),
                   static_cast<int>(listed));
  } while (read < 0 && errno == EINTR);
  return read < 0 ? read : read + static_cast<ssize_t>(skip);
}

Receiver::Step Receiver::finish_spilled() {
  const std::uint32_t bytes = placed_ + spilled_;
  std::uint32_t room = placed_;
  for (std::size_t i = placed_in_; i < count_; ++i) room += held(i).writable_bytes();
  if (room < bytes) {
    if (count_ < kHeld) return Step::kNoBuffers;
    spilled_ = 0;
    return Step::kDropped;
  }
  std::span<const std::byte> rest(spill_.get(), spilled_);
  for (std::size_t i = placed_in_; !rest.empty(); ++i) {
    rest = rest.subspan(held(i).writer().write(rest));
  }
  spilled_ = 0;
  give(bytes);
  return Step::kReceived;
}

// The number of buffers is told in the first one, while it is still ours.
void Receiver::give(std::uint32_t bytes) {
  put_header(bytes);
  while (bytes != 0) {
    Buffer& buffer = held(0);
    const std::uint32_t part = std::min({bytes, buffer.writable_bytes(), kLargest});
    buffer.mark_written(part);
    runner_.complete(buffer.head(), part);
    room_ -= std::min(buffer.writable_bytes(), kLargest);
    first_ = (first_ + 1) % kHeld;
    --count_;
    bytes -= part;
  }
}

void Receiver::put_header(std::uint32_t bytes) {
  std::uint16_t buffers = 0;
  for (std::uint32_t left = bytes; left != 0; ++buffers) {
    left -= std::min({left, held(buffers).writable_bytes(), kLargest});
  }
  virtio_queue::Writer header = held(0).writer();
  if (!port_.has_header())
    (void)header.write_obj(std::array<std::uint8_t, kNumBuffersOffset>{});
  else
    (void)header.skip(kNumBuffersOffset);
  (void)header.write_obj(Le16(buffers));
}

}  // namespace vmm::virtio_net
