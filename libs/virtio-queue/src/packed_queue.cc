// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/packed_queue.h"

#include <algorithm>

#include "vmm/virtio_queue/detail/packed_walk.h"

namespace vmm::virtio_queue {

PackedQueue::PackedQueue(const QueueShape& shape, const vm_memory::GuestMemory& memory)
    : RingBase(shape, memory) {}

Result<PackedQueue, QueueError> PackedQueue::create(const QueueShape& shape,
                                                    const vm_memory::GuestMemory& memory,
                                                    const QueuePosition& position) {
  PackedQueue queue(shape, memory);
  if (!queue.flights_.has_memory()) return fail(QueueError::kNoMemory);
  VMM_TRY(queue.rings_, detail::resolve(shape, *queue.flights_.ram()));
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
  if (tracker_ != nullptr) tracker_->taken.clear();
  const auto bytes = static_cast<std::int64_t>(ring_bytes());
  end_batch();
  avail_ = rings_.descriptors + std::size_t{avail.offset} * kDescriptorBytes;
  used_ = std::int64_t{used.offset} * kDescriptorBytes - bytes;
  set_avail_bits(avail.wrap ? kAvail : kUsed);
  used_bits_ = (used.wrap ? kAvailMask : 0) | kWrite;
  used_turns_ = 0;
  take_stock();
  marked_ = used_bytes();
  // Nobody knows whether the last completions before a save were notified: the first decision
  // is a yes.
  const std::uint16_t start = RingPosition{}.bits();
  signalled_ = used_ - (position == QueuePosition{start, start} ? 0 : 2 * kTurn);
  event_base_ = kTurn + bytes - 1;
  watch_events(signalled_);
  return {};
}

Pop PackedQueue::break_down(Chain& chain, QueueError error) {
  break_by(error);
  end_batch();
  return broken(chain);
}

inline Pop PackedQueue::look(Chain& chain) {
  const std::uint64_t rest = next_rest();
  if ((rest & kAvailMask) != avail_bits_) return Pop::kEmpty;
  take_stock();
  if (left_ == 0) return break_down(chain, QueueError::kBadAvailIndex);
  if (is_thorough()) [[unlikely]]
    return pop_thoroughly(chain, rest);
  begin_batch();
  return pop_available(chain, rest);
}

Pop PackedQueue::pop_after_look(Chain& chain) {
  end_batch();
  if (flights_.is_stale() || look_closely_) [[unlikely]]
    return pop_after_change(chain);
  return look(chain);
}

Pop PackedQueue::pop_after_change(Chain& chain) {
  if (!refresh()) return break_down(chain, QueueError::kRingNotMapped);
  return has_again() ? pop_again(chain) : look(chain);
}

Pop PackedQueue::pop_other(Chain& chain) {
  const std::uint64_t rest = next_rest();
  return (rest & kAvailMask) == avail_bits_ ? walk(chain, rest) : pop_after_look(chain);
}

Pop PackedQueue::pop_available(Chain& chain, std::uint64_t rest) {
  return (rest & (kNext | kIndirect)) == 0 ? pop_single(chain, avail_, rest) : walk(chain, rest);
}

Pop PackedQueue::walk(Chain& chain, std::uint64_t rest) {
  if ((rest & kIndirect) != 0) return walk_indirect(chain);
  return pop_list(chain, avail_, static_cast<std::uint16_t>(rest >> 16));
}

// As for split rings: memory may have changed since the last look at it.
Pop PackedQueue::pop_thoroughly(Chain& chain, std::uint64_t rest) {
  if (!refresh()) return break_down(chain, QueueError::kRingNotMapped);
  waiting_ = false;
  const Pop popped = pop_available(chain, rest);
  if (popped == Pop::kChain) {
    if (tracker_ != nullptr) note_begin(chain.head(), flights_.weight(chain.head()));
    note(chain);
  }
  return popped;
}

Pop PackedQueue::pop_again(Chain& chain) {
  waiting_ = false;
  const Pop popped = resubmit(chain, tracker_->again.back());
  if (popped != Pop::kEmpty) tracker_->pop_again(popped == Pop::kChain);
  look_closely_ = broken_ || has_again();
  return popped;
}

Result<void, QueueError> PackedQueue::track_inflight(const vm_memory::GuestSlice& region) {
  std::vector<PackedDescriptor> list(size());
  if (is_fresh_inflight(region)) {
    VMM_TRY(auto inflight, PackedInflight::format(region, size(), position()));
    tracker_.reset(new detail::Tracker<PackedInflight>{std::move(inflight), {}, std::move(list)});
  } else {
    VMM_TRY(auto inflight, PackedInflight::open(region, size()));
    std::vector<Resubmit> again =
        inflight.recover(vm_memory::GuestSlice({rings_.descriptors, end_}));
    VMM_TRY_DO(rewind(inflight.position()));
    std::ranges::reverse(again);
    look_closely_ |= !again.empty();
    tracker_.reset(new detail::Tracker<PackedInflight>{std::move(inflight), std::move(again),
                                                       std::move(list)});
  }
  keep_inflight();
  return {};
}

void PackedQueue::note_begin(std::uint16_t id, std::uint32_t bytes) {
  if (tracker_ == nullptr) return;
  const auto list = std::span(tracker_->list).first(bytes / kDescriptorBytes);
  read_back(id, list.size(), list);
  tracker_->inflight.begin(list);
}

// With an inflight region a batch is one buffer, as in the region no new one can begin while there
// are others that were not published.
void PackedQueue::put_used_thoroughly(std::uint16_t id, std::uint32_t written,
                                      std::uint32_t bytes) {
  if (tracker_ == nullptr) return put_used(id, written, bytes);
  tracker_->inflight.stage(id);
  put_used(id, written, bytes);
  publish_plain();
  tracker_->inflight.commit();
}

Pop PackedQueue::walk_indirect(Chain& chain) {
  detail::PackedList list;
  if (detail::packed_walk_indirect(chain, window_, avail_, list) && flights_.is_free(list.id)) {
    note_taken(chain, list.id, list.bytes);
    go_on(list.bytes);
    return Pop::kChain;
  }
  return walk_carefully(chain);
}

void PackedQueue::go_on_anywhere(std::uint32_t bytes) {
  avail_ += bytes;
  restock();
}

void PackedQueue::restock() {
  if (avail_ >= end_) {
    avail_ -= ring_bytes();
    set_avail_bits(static_cast<std::uint32_t>(avail_bits_) ^ kAvailMask);
    end_batch();  // a new batch begins
  }
  take_stock();
}

void PackedQueue::take_stock() {
  left_ = std::min(end_ - avail_, room());
  if (left_ == 0) end_batch();
}

Pop PackedQueue::walk_carefully(Chain& chain) {
  const detail::PackedPlace place{rings_.descriptors, end_, avail_};
  detail::PackedList list;
  const auto done = detail::packed_walk_carefully(chain, place, *flights_.ram(), window_, list);
  chain.label_.word = static_cast<std::uint32_t>(list.id);
  if (list.bytes > room()) return break_down(chain, QueueError::kBadAvailIndex);
  if (!done && done.error() == QueueError::kMissing) {
    end_batch();
    return wait_for_memory(chain);
  }
  if (!done) return refuse(chain, done.error(), list.bytes);
  if (!flights_.is_free(list.id)) {
    return refuse(chain, list.id < size() ? QueueError::kInFlight : QueueError::kBadHead,
                  list.bytes);
  }
  flights_.take(list.id, list.bytes);
  go_on_anywhere(list.bytes);
  return Pop::kChain;
}

Pop PackedQueue::refuse(Chain& chain, QueueError error, std::uint32_t bytes) {
  chain.set_empty(error);
  go_on_anywhere(bytes);
  if (in_order_) {
    reorder_.push(chain.head(), bytes, true);
    drain_in_order();
  } else {
    if (error != QueueError::kInFlight) note_begin(chain.head(), bytes);
    put_used_thoroughly(chain.head(), 0, bytes);
  }
  return Pop::kMalformed;
}

Result<void, QueueError> PackedQueue::add_used(std::uint16_t id, std::uint32_t written) {
  if (tracker_ != nullptr) tracker_->finish(id);
  VMM_TRY(const std::uint32_t bytes, give_back(id));
  if (in_order_) {
    reorder_.finish(id, written);
    drain_in_order();
  } else {
    put_used_thoroughly(id, written, bytes);
  }
  return {};
}

void PackedQueue::drain_in_order() {
  detail::Reorder::Entry entry;
  while (reorder_.take(&entry)) put_used_thoroughly(entry.token, entry.written, entry.weight);
}

Result<void, QueueError> PackedQueue::undo_pop(const Chain& chain) {
  if (!flights_.is_taken(chain.head())) return fail(QueueError::kNotInFlight);
  const std::uint32_t bytes = flights_.give_back(chain.head());
  if (in_order_) reorder_.pop_last();
  if (tracker_ != nullptr && tracker_->undo(chain.head())) {
    look_closely_ = true;  // it is still in flight for the region, and no entry of the ring's
    return {};
  }
  if (tracker_ != nullptr) tracker_->inflight.cancel(chain.head());
  end_batch();
  const auto offset = static_cast<std::uint64_t>(avail_ - rings_.descriptors);
  if (offset >= bytes) {
    avail_ -= bytes;
  } else {
    avail_ += ring_bytes() - bytes;
    set_avail_bits(static_cast<std::uint32_t>(avail_bits_) ^ kAvailMask);
  }
  return {};
}

Result<void, QueueError> PackedQueue::adopt(std::uint16_t id, std::uint16_t descriptors) {
  if (descriptors == 0 || descriptors > size()) return fail(QueueError::kBadHead);
  return take_over(id, descriptors * kDescriptorBytes);
}

Pop PackedQueue::resubmit(Chain& chain, const Resubmit& request) {
  chain.label_.word = request.head;
  const auto bytes = static_cast<std::uint32_t>(request.list.size() * kDescriptorBytes);
  const auto taken = request.list.empty() || request.list.size() > size()
                         ? Result<void, QueueError>(fail(QueueError::kBadHead))
                         : take_over(request.head, bytes);
  if (!taken) {
    chain.set_empty(taken.error());
    return Pop::kMalformed;
  }
  const auto* const begin = reinterpret_cast<const std::byte*>(request.list.data());
  const detail::PackedPlace place{begin, begin + bytes, begin};
  detail::PackedList list;
  const auto done = detail::packed_walk_carefully(chain, place, *flights_.ram(), window_, list);
  if (done && list.bytes == bytes && list.id == request.head) {
    if (flights_.ram()->tracked()) chain.track(flights_.ram());
    return Pop::kChain;
  }
  if (!done && done.error() == QueueError::kMissing) {
    (void)flights_.give_back(request.head);
    if (in_order_) reorder_.pop_last();
    return wait_for_memory(chain);
  }
  chain.set_empty(done ? QueueError::kBadState : done.error());
  (void)add_used(request.head, 0);
  return Pop::kMalformed;
}

std::size_t PackedQueue::read_list(const Chain& chain, std::span<PackedDescriptor> out) const {
  if (!flights_.is_taken(chain.head())) return 0;
  const std::size_t count = flights_.weight(chain.head()) / kDescriptorBytes;
  read_back(chain.head(), count, out);
  return std::min(count, out.size());
}

void PackedQueue::read_back(std::uint16_t id, std::size_t count,
                            std::span<PackedDescriptor> out) const {
  auto offset = static_cast<std::uint64_t>(avail_ - rings_.descriptors) + ring_bytes() -
                count * kDescriptorBytes;
  for (std::size_t i = 0; i < std::min(count, out.size()); ++i, offset += kDescriptorBytes) {
    const detail::RawPacked raw(rings_.descriptors + offset % ring_bytes());
    // The id is the one that was popped, whatever stands there now.
    out[i] = {Le64(raw.address), Le32(raw.length), Le16(id), Le16(raw.flags)};
  }
}

void PackedQueue::turn() {
  staged_end_ -= static_cast<std::int64_t>(ring_bytes());
  used_turns_ += ring_bytes();
  used_bits_ ^= kAvailMask;
  staged_signalled_ -= kTurn;
  watch_events(staged_signalled_);
}

void PackedQueue::watch_events(std::int64_t signalled) {
  const bool far = signalled < -(kTurn + static_cast<std::int64_t>(ring_bytes()));
  const std::uint64_t wrap = next_used() & 0x8000u;
  event_key_ =
      !event_idx_ || far ? kNoEvent : std::uint64_t{kEventsDescriptor} << 16 | (wrap ^ 0x8000);
}

bool PackedQueue::event_passed(std::uint64_t events, std::int64_t steps) {
  const std::int64_t turns = (-1 - (used_ - steps)) / kTurn;
  const std::int64_t left_out = kTurn - static_cast<std::int64_t>(ring_bytes());  // of each turn
  watch_events(signalled_);
  const std::uint64_t flags = events >> 16 & 3;
  if (flags != kEventsDescriptor || !event_idx_) return flags != kEventsDisable;
  return packed_event_passed(
      RingPosition::from_bits(static_cast<std::uint16_t>(events)),
      RingPosition::from_bits(next_used()),
      static_cast<std::uint64_t>(steps - turns * left_out) / kDescriptorBytes, size());
}

void PackedQueue::publish() {
  publish_plain();
  if (used_bytes() == marked_) return;
  const std::uint64_t bytes = std::min(used_bytes() - marked_, ring_bytes());
  marked_ = used_bytes();
  const auto at = ring_bytes() + static_cast<std::uint64_t>(used_);
  const std::uint64_t here = std::min(at, bytes);  // the others are before the end of the ring
  if (here != 0) rings_.descriptors_dirty.mark(at - here, here);
  if (bytes != here) rings_.descriptors_dirty.mark(ring_bytes() + here - bytes, bytes - here);
}

bool PackedQueue::remount() {
  const std::byte* const before = rings_.descriptors;
  if (const auto rings = renew()) {
    const auto moved = [&](const std::byte* at) { return rings->descriptors + (at - before); };
    avail_ = moved(avail_);
    end_ = moved(end_);
    rings_ = *rings;
    end_batch();
  }
  if (broken_) end_batch();
  return !broken_;
}

}  // namespace vmm::virtio_queue
