// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/packed_queue.h"

#include <algorithm>

#include "packed_walk.h"

namespace vmm::virtio_queue {

PackedQueue::PackedQueue(const QueueShape& shape, const vm_memory::GuestMemory& memory)
    : RingBase(shape, memory) {}

Result<PackedQueue, QueueError> PackedQueue::create(const QueueShape& shape,
                                                    const vm_memory::GuestMemory& memory,
                                                    const QueuePosition& position) {
  PackedQueue queue(shape, memory);
  VMM_TRY(queue.rings_, detail::resolve(shape, queue.flights_.ram()->view()));
  queue.end_ = queue.rings_.descriptors + std::size_t{shape.size} * kDescriptorBytes;
  VMM_TRY_DO(queue.rewind(position));
  return queue;
}

Result<void, QueueError> PackedQueue::rewind(const QueuePosition& position) {
  const RingPosition avail = RingPosition::from_bits(position.next_avail);
  const RingPosition used = RingPosition::from_bits(position.next_used);
  const bool same_turn = avail.wrap == used.wrap;
  if (avail.offset >= size() || used.offset >= size() ||
      (same_turn ? used.offset > avail.offset : used.offset < avail.offset)) {
    return fail(QueueError::kBadState);
  }
  forget();
  staged_ = nullptr;
  available_ = kLook;
  avail_ = rings_.descriptors + std::size_t{avail.offset} * kDescriptorBytes;
  used_ = rings_.descriptors + std::size_t{used.offset} * kDescriptorBytes;
  avail_bits_ = avail.wrap ? kAvail : kUsed;
  used_bits_ = used.wrap ? kAvailMask : 0;
  used_bytes_ = marked_ = 0;
  limit_ = ring_bytes();
  room_ = static_cast<std::uint64_t>(used_ - avail_) + (same_turn ? ring_bytes() : 0);
  // Nobody knows whether the last completions before a save were notified: the first decision
  // is a yes.
  const std::uint16_t start = RingPosition{}.bits();
  signalled_ = position == QueuePosition{start, start} ? 0 : 0 - 2 * ring_bytes();
  return {};
}

Pop PackedQueue::break_down(Chain& chain, QueueError error) {
  break_by(error);
  available_ = kLook;
  return broken(chain);
}

[[gnu::always_inline]] inline Pop PackedQueue::walk(Chain& chain) {
  const detail::PackedPlace place{rings_.descriptors, end_, avail_,
                                  static_cast<std::uint16_t>(avail_bits_ >> 16)};
  detail::PackedList list;
  if (!detail::packed_walk(chain, place, window_, list) || !flights_.is_free(list.id) ||
      !has_room(list.bytes)) [[unlikely]]
    return walk_carefully(chain);
  chain.label_ = list.id;
  accept(list.id, list.bytes);
  return Pop::kChain;
}

Pop PackedQueue::look(Chain& chain) {
  available_ = kLook;
  if ((flights_.is_stale() || broken_) && !refresh()) [[unlikely]]
    return break_down(chain, QueueError::kRingNotMapped);
  if (!is_next_available()) return Pop::kEmpty;
  take_stock();
  if (is_thorough()) [[unlikely]]
    return pop_thoroughly(chain);
  available_ = avail_bits_;
  return walk(chain);
}

Pop PackedQueue::pop_thoroughly(Chain& chain) {
  const Pop popped = walk(chain);
  if (popped == Pop::kChain) note(chain);
  return popped;
}

void PackedQueue::take_stock() {
  const std::uint64_t limit = used_bytes_ + ring_bytes();
  room_ += limit - limit_;
  limit_ = limit;
}

Pop PackedQueue::pop_other(Chain& chain) {
  const auto rest = detail::load<std::uint32_t, __ATOMIC_ACQUIRE>(avail_ + 12);
  if ((rest & kAvailMask) != available_) [[unlikely]]
    return look(chain);
  return walk(chain);
}

Pop PackedQueue::walk_carefully(Chain& chain) {
  const detail::PackedPlace place{rings_.descriptors, end_, avail_,
                                  static_cast<std::uint16_t>(avail_bits_ >> 16)};
  detail::PackedList list;
  const auto done = detail::packed_walk_carefully(chain, place, *flights_.ram(), window_, list);
  chain.label_ = list.id;
  if (!has_room(list.bytes)) return break_down(chain, QueueError::kBadAvailIndex);
  if (!done) return refuse(chain, done.error(), list.bytes);
  if (!flights_.is_free(list.id)) {
    return refuse(chain, list.id < size() ? QueueError::kInFlight : QueueError::kBadHead,
                  list.bytes);
  }
  accept(list.id, list.bytes);
  return Pop::kChain;
}

Pop PackedQueue::refuse(Chain& chain, QueueError error, std::uint32_t bytes) {
  chain.set_empty(error);
  go_on(bytes);
  if (in_order_) {
    reorder_.push(chain.head(), bytes, true);
    drain_in_order();
  } else {
    put_used(chain.head(), 0, bytes);
  }
  return Pop::kMalformed;
}

Result<void, QueueError> PackedQueue::add_used_slowly(std::uint16_t id, std::uint32_t written) {
  VMM_TRY(const std::uint32_t bytes, give_back(id));
  if (in_order_) {
    reorder_.finish(id, written);
    drain_in_order();
  } else {
    put_used(id, written, bytes);
  }
  return {};
}

void PackedQueue::drain_in_order() {
  detail::Reorder::Entry entry;
  while (reorder_.take(&entry)) put_used(entry.token, entry.written, entry.weight);
}

Result<void, QueueError> PackedQueue::undo_pop(const Chain& chain) {
  if (!flights_.is_taken(chain.head())) return fail(QueueError::kNotInFlight);
  const std::uint32_t bytes = flights_.give_back(chain.head());
  if (in_order_) reorder_.pop_last();
  available_ = kLook;
  room_ += bytes;
  const auto offset = static_cast<std::uint64_t>(avail_ - rings_.descriptors);
  if (offset >= bytes) {
    avail_ -= bytes;
  } else {
    avail_ += ring_bytes() - bytes;
    avail_bits_ ^= kAvailMask;
  }
  return {};
}

Result<void, QueueError> PackedQueue::adopt(std::uint16_t id, std::uint16_t descriptors) {
  if (descriptors == 0 || descriptors > size()) return fail(QueueError::kBadHead);
  return take_over(id, descriptors * kDescriptorBytes);
}

Pop PackedQueue::resubmit(Chain& chain, const Resubmit& request) {
  chain.label_ = request.head;
  const auto bytes = static_cast<std::uint32_t>(request.list.size() * kDescriptorBytes);
  const auto taken = request.list.empty() || request.list.size() > size()
                         ? Result<void, QueueError>(fail(QueueError::kBadHead))
                         : take_over(request.head, bytes);
  if (!taken) {
    chain.set_empty(taken.error());
    return Pop::kMalformed;
  }
  const auto* const begin = reinterpret_cast<const std::byte*>(request.list.data());
  const detail::PackedPlace place{begin, begin + bytes, begin, 0};
  detail::PackedList list;
  const auto done = detail::packed_walk_carefully(chain, place, *flights_.ram(), window_, list);
  if (done && list.bytes == bytes && list.id == request.head) {
    if (flights_.ram()->tracked()) chain.track(flights_.ram());
    return Pop::kChain;
  }
  chain.set_empty(done ? QueueError::kBadState : done.error());
  (void)add_used(request.head, 0);
  return Pop::kMalformed;
}

std::size_t PackedQueue::read_list(const Chain& chain, std::span<PackedDescriptor> out) const {
  if (!flights_.is_taken(chain.head())) return 0;
  const std::uint64_t bytes = flights_.weight(chain.head());
  const std::size_t count = std::min<std::size_t>(out.size(), bytes / kDescriptorBytes);
  auto offset = static_cast<std::uint64_t>(avail_ - rings_.descriptors) + ring_bytes() - bytes;
  for (std::size_t i = 0; i < count; ++i, offset += kDescriptorBytes) {
    const detail::RawPacked raw(rings_.descriptors + offset % ring_bytes());
    // The id is the one that was popped, whatever stands there now.
    out[i] = {Le64(raw.address), Le32(raw.length), Le16(chain.head()), Le16(raw.flags)};
  }
  return count;
}

void PackedQueue::publish() {
  publish_plain();
  if (used_bytes_ == marked_) return;
  const std::uint64_t bytes = std::min(used_bytes_ - marked_, ring_bytes());
  marked_ = used_bytes_;
  const auto at = static_cast<std::uint64_t>(used_ - rings_.descriptors);
  const std::uint64_t here = std::min(at, bytes);  // the others are before the end of the ring
  if (here != 0) rings_.descriptors_dirty.mark(at - here, here);
  if (bytes != here) rings_.descriptors_dirty.mark(ring_bytes() + here - bytes, bytes - here);
}

bool PackedQueue::remount() {
  const std::byte* const before = rings_.descriptors;
  if (const auto rings = renew()) {
    const auto moved = [&](const std::byte* at) { return rings->descriptors + (at - before); };
    avail_ = moved(avail_);
    used_ = moved(used_);
    end_ = moved(end_);
    if (staged_ != nullptr) staged_ = moved(staged_);
    rings_ = *rings;
    available_ = kLook;
  }
  if (broken_) available_ = kLook;
  return !broken_;
}

}  // namespace vmm::virtio_queue
