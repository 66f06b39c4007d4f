// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/split_queue.h"

#include <algorithm>

#include "vmm/virtio_queue/detail/split_walk.h"

namespace vmm::virtio_queue {

SplitQueue::SplitQueue(const QueueShape& shape, const vm_memory::GuestMemory& memory)
    : RingBase(shape, memory),
      mask_(shape.size - 1u),
      table_bytes_(std::uint32_t{shape.size} * kDescriptorBytes),
      step_mask_(detail::step_mask(shape.size)) {}

Result<SplitQueue, QueueError> SplitQueue::create(const QueueShape& shape,
                                                  const vm_memory::GuestMemory& memory,
                                                  const QueuePosition& position) {
  SplitQueue queue(shape, memory);
  if (!queue.flights_.has_memory()) return fail(QueueError::kNoMemory);
  VMM_TRY(const detail::Rings rings, detail::resolve(shape, *queue.flights_.ram()));
  queue.place(rings);
  VMM_TRY_DO(queue.rewind(position));
  return queue;
}

Result<void, QueueError> SplitQueue::rewind(const QueuePosition& position) {
  const std::uint16_t next_avail = position.next_avail;
  const std::uint16_t next_used = position.next_used;
  if (static_cast<std::uint16_t>(next_avail - next_used) > size()) {
    return fail(QueueError::kBadState);
  }
  forget();
  if (tracker_ != nullptr) tracker_->taken.clear();
  next_avail_ = avail_end_ = next_avail;
  next_used_ = signalled_ = marked_ = next_used;
  // Nobody knows whether the last completions before a save were notified: the first decision
  // is a yes.
  if (position != QueuePosition{}) signalled_ -= 0x10000;
  return {};
}

void SplitQueue::place(const detail::Rings& rings) {
  rings_ = rings;
  used_event_ = rings.driver + SplitAvail::used_event(size());
  avail_event_ = rings.device + SplitUsed::avail_event(size());
}

Pop SplitQueue::break_down(Chain& chain, QueueError error) {
  break_by(error);
  avail_end_ = next_avail_;
  return broken(chain);
}

inline Pop SplitQueue::look(Chain& chain) {
  const auto waiting = static_cast<std::uint16_t>(avail_index() - next_avail_);
  if (waiting == 0) return Pop::kEmpty;
  if (waiting > size()) [[unlikely]]
    return break_down(chain, QueueError::kBadAvailIndex);
  if (is_thorough()) [[unlikely]]
    return pop_thoroughly(chain);
  avail_end_ = next_avail_ + waiting;
  return pop_next(chain);
}

Pop SplitQueue::pop_after_look(Chain& chain) {
  if (flights_.is_stale() || look_closely_) [[unlikely]]
    return pop_after_change(chain);
  return look(chain);
}

Pop SplitQueue::pop_after_change(Chain& chain) {
  if (!refresh()) return break_down(chain, QueueError::kRingNotMapped);
  return has_again() ? pop_again(chain) : look(chain);
}

// The driver may have had memory changed after the last look at it and before it offered the
// buffer, which must not be translated by what was before.
Pop SplitQueue::pop_thoroughly(Chain& chain) {
  if (!refresh()) return break_down(chain, QueueError::kRingNotMapped);
  waiting_ = false;
  if (in_order_ && reorder_.is_full()) return break_down(chain, QueueError::kBadAvailIndex);
  avail_end_ = next_avail_ + 1;
  const Pop popped = pop_next(chain);
  if (popped == Pop::kChain) {
    note(chain);
    if (tracker_ != nullptr) tracker_->inflight.begin(chain.head());
  }
  return popped;
}

Pop SplitQueue::pop_again(Chain& chain) {
  waiting_ = false;
  const Pop popped = resubmit(chain, tracker_->again.back());
  if (popped != Pop::kEmpty) tracker_->pop_again(popped == Pop::kChain);
  look_closely_ = broken_ || has_again();
  return popped;
}

// What is in flight says how far the driver's ring was read, whatever the position says.
Result<void, QueueError> SplitQueue::track_inflight(const vm_memory::GuestSlice& region) {
  const auto used = static_cast<std::uint16_t>(next_used_);
  if (is_fresh_inflight(region)) {
    VMM_TRY(auto inflight, SplitInflight::format(region, size()));
    inflight.commit(used);
    tracker_.reset(new detail::Tracker<SplitInflight>{std::move(inflight), {}, {}});
  } else {
    VMM_TRY(auto inflight, SplitInflight::open(region, size()));
    std::vector<Resubmit> again = inflight.recover(used);
    VMM_TRY_DO(
        rewind({.next_avail = static_cast<std::uint16_t>(used + again.size()), .next_used = used}));
    std::ranges::reverse(again);
    look_closely_ |= !again.empty();
    tracker_.reset(new detail::Tracker<SplitInflight>{std::move(inflight), std::move(again), {}});
  }
  keep_inflight();
  return {};
}

void SplitQueue::put_used_thoroughly(std::uint16_t head, std::uint32_t written) {
  if (tracker_ != nullptr) tracker_->inflight.stage(head);
  put_used(head, written);
}

Pop SplitQueue::walk_indirect(Chain& chain) {
  if (detail::split_walk_indirect(chain, rings_.descriptors, table_bytes_, step_mask_, window_)) {
    return Pop::kChain;
  }
  return walk_carefully(chain);
}

Pop SplitQueue::walk_carefully(Chain& chain) {
  const auto done =
      detail::split_walk_carefully(chain, rings_.descriptors, size(), *flights_.ram(), window_);
  if (done) return Pop::kChain;
  (void)flights_.give_back(chain.head());
  if (done.error() == QueueError::kMissing) {
    avail_end_ = --next_avail_;
    return wait_for_memory(chain);
  }
  return refuse(chain, done.error());
}

/// Nobody can be told about a head beyond the table; the entry is passed over.
Pop SplitQueue::refuse_head(Chain& chain) {
  if (chain.head() <= mask_) return refuse(chain, QueueError::kInFlight);
  chain.set_empty(QueueError::kBadHead);
  return Pop::kMalformed;
}

Pop SplitQueue::refuse(Chain& chain, QueueError error) {
  chain.set_empty(error);
  if (in_order_) {
    reorder_.push(chain.head(), 1, true);
    drain_in_order();
  } else {
    put_used_thoroughly(chain.head(), 0);
  }
  return Pop::kMalformed;
}

Result<void, QueueError> SplitQueue::add_used(std::uint16_t head, std::uint32_t written) {
  if (tracker_ != nullptr) tracker_->finish(head);
  VMM_TRY_DO(give_back(head));
  if (in_order_) {
    reorder_.finish(head, written);
    drain_in_order();
  } else {
    put_used_thoroughly(head, written);
  }
  return {};
}

void SplitQueue::drain_in_order() {
  detail::Reorder::Entry entry;
  while (reorder_.take(&entry)) put_used_thoroughly(entry.token, entry.written);
}

Result<void, QueueError> SplitQueue::undo_pop(const Chain& chain) {
  if (!flights_.is_taken(chain.head())) return fail(QueueError::kNotInFlight);
  (void)flights_.give_back(chain.head());
  if (in_order_) reorder_.pop_last();
  if (tracker_ != nullptr && tracker_->undo(chain.head())) {
    look_closely_ = true;  // it is still in flight for the region, and no entry of the ring's
    return {};
  }
  if (tracker_ != nullptr) tracker_->inflight.cancel(chain.head());
  --next_avail_;
  if (is_thorough()) avail_end_ = next_avail_;
  return {};
}

Pop SplitQueue::resubmit(Chain& chain, const Resubmit& request) {
  chain.label_.word = request.head;
  const auto taken = take_over(request.head, kSplitWeight);
  if (!taken) {
    chain.set_empty(taken.error());
    return Pop::kMalformed;
  }
  const auto done =
      detail::split_walk_carefully(chain, rings_.descriptors, size(), *flights_.ram(), window_);
  if (done) {
    if (flights_.ram()->tracked()) chain.track(flights_.ram());
    return Pop::kChain;
  }
  if (done.error() == QueueError::kMissing) {
    (void)flights_.give_back(request.head);
    if (in_order_) reorder_.pop_last();
    return wait_for_memory(chain);
  }
  chain.set_empty(done.error());
  (void)add_used(request.head, 0);
  return Pop::kMalformed;
}

void SplitQueue::publish() {
  publish_plain();
  if (tracker_ != nullptr) tracker_->inflight.commit(static_cast<std::uint16_t>(next_used_));
  rings_.device_dirty.mark(SplitUsed::kIndex, 2);
  const std::uint64_t count = std::min<std::uint64_t>(next_used_ - marked_, size());
  for (std::uint64_t i = next_used_ - count; i != next_used_; ++i) {
    rings_.device_dirty.mark(SplitUsed::entry(i & mask_), 8);
  }
  marked_ = next_used_;
}

bool SplitQueue::remount() {
  if (const auto rings = renew()) place(*rings);
  avail_end_ = next_avail_;  // the batch was of the memory before, which may need less care
  return !broken_;
}

}  // namespace vmm::virtio_queue
