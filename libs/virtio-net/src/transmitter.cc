// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "transmitter.h"

#include <limits.h>

#include <algorithm>
#include <span>
#include <utility>

#include "gate_watch.h"
#include "vmm/virtio_net/net.h"
#include "vnet_header.h"

namespace vmm::virtio_net {
namespace {

constexpr std::uint32_t kEthernetHeaderBytes = 14;

}  // namespace

Transmitter::Transmitter(const NetPort& port, virtio_device::ActiveQueue queue,
                         std::shared_ptr<virtio_device::Interrupt> interrupt,
                         std::uint64_t features, rate_limiter::RateGate gate, Traffic& traffic)
    : port_(port),
      runner_(std::move(queue), std::move(interrupt)),
      features_(features),
      gate_(std::move(gate)),
      traffic_(traffic),
      chain_(runner_.queue().size()),
      pieces_(std::min<std::size_t>(runner_.queue().size() + std::size_t{1}, IOV_MAX)) {
  if (pieces_.size() == IOV_MAX) copy_ = std::make_unique<std::byte[]>(kMaxPacketBytes);
}

Result<void> Transmitter::start(event_manager::EventLoop& loop) {
  VMM_TRY(gate_watch_, watch_gate(loop, gate_, [this] { serve(); }));
  return runner_.start(loop, [this] { serve(); });
}

// Packets one by one, as a port takes them; buffers are given back all together.
void Transmitter::serve() {
  if (full_ || gate_.is_shut()) return;
  virtio_queue::Queue& queue = runner_.queue();
  if (!queue.refresh()) return (void)runner_.pop(chain_);  // tells the driver
  queue.disable_notifications();
  std::uint32_t left = virtio_device::QueueRunner::kBudget;
  for (; left != 0; --left) {
    if (!runner_.pop_or_listen(chain_)) break;
    if (!send(chain_)) {
      (void)queue.undo_pop(chain_);
      break;
    }
    runner_.complete(chain_.head(), 0);
  }
  if (runner_.broken()) return;
  runner_.flush();
  if (left == 0) runner_.kick_again();
}

std::size_t Transmitter::list(virtio_queue::Reader& packet, std::size_t pieces) {
  if (pieces < pieces_.size()) [[likely]]
    return packet.unsafe_iovec(std::span(pieces_).subspan(1));
  pieces_[1] = {copy_.get(), packet.read({copy_.get(), packet.remaining()})};
  return 1;
}

bool Transmitter::send(const virtio_queue::Chain& chain) {
  virtio_queue::Reader packet = chain.reader();
  const auto header_read = packet.read_obj<VnetHeader>();
  const std::uint32_t bytes = packet.remaining();
  if (!header_read || bytes < kEthernetHeaderBytes || bytes > kMaxPacketBytes) return true;
  VnetHeader header = *header_read;
  if (!accept_from_driver(header, bytes, features_)) return true;
  if (!gate_.pass(1, bytes)) return false;

  pieces_[0] = {&header, sizeof(header)};
  const std::size_t count = 1 + list(packet, chain.unsafe_readable().size());
  const std::span listed = std::span<const virtio_queue::IoVec>(pieces_).first(count);
  const NetPort::Sent sent = port_.send(port_.has_header() ? listed : listed.subspan(1));
  full_ = sent == NetPort::Sent::kFull;
  if (full_) gate_.refund(1, bytes);
  if (sent == NetPort::Sent::kDone) traffic_.count(bytes);
  return !full_;
}

}  // namespace vmm::virtio_net
