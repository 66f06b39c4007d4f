// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/split_queue.h"

#include <algorithm>

#include "split_walk.h"

namespace vmm::virtio_queue {

SplitQueue::SplitQueue(const QueueShape& shape, const vm_memory::GuestMemory& memory)
    : mask_(shape.size - 1u),
      event_idx_(shape.event_idx),
      in_order_(shape.in_order),
      ram_(nullptr),
      flights_(memory, shape.size),
      reorder_(shape.in_order ? shape.size : 0u),
      shape_(shape) {
  ram_ = flights_.ram();
}

Result<SplitQueue, QueueError> SplitQueue::create(const QueueShape& shape,
                                                  const vm_memory::GuestMemory& memory,
                                                  const QueuePosition& position) {
  SplitQueue queue(shape, memory);
  VMM_TRY(const detail::Rings rings, detail::resolve(shape, queue.ram_->view()));
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
  flights_.give_back_all();
  reorder_.clear();
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
  if (!broken_) broken_by_ = error;
  broken_ = true;
  avail_end_ = next_avail_;
  chain.set_empty();
  chain.error_ = broken_by_;
  return Pop::kBroken;
}

/// kChain means: there is at least one.
Pop SplitQueue::look(Chain& chain) {
  if (broken_) return break_down(chain, broken_by_);
  if (!refresh()) return break_down(chain, QueueError::kRingNotMapped);
  const std::uint16_t index = avail_index();
  const auto waiting = static_cast<std::uint16_t>(index - next_avail_);
  if (waiting == 0) return Pop::kEmpty;
  if (waiting > size()) return break_down(chain, QueueError::kBadAvailIndex);
  // In order: one by one, so that each pop comes through here.
  avail_end_ = in_order_ ? static_cast<std::uint16_t>(next_avail_ + 1) : index;
  return Pop::kChain;
}

Pop SplitQueue::pop_after_look(Chain& chain) {
  const Pop found = look(chain);
  if (found != Pop::kChain) return found;
  const Pop popped = pop_next(chain);
  if (in_order_ && popped == Pop::kChain) {
    reorder_.push(chain.head_, 1, false);
    flights_.set_aside(chain.head_);
  }
  return popped;
}

Pop SplitQueue::walk(Chain& chain) {
  using detail::SplitWalk;
  if (SplitWalk::fast(chain, rings_.descriptors, size(), *ram_, window_)) [[likely]]
    return Pop::kChain;
  const auto done = SplitWalk::carefully(chain, rings_.descriptors, size(), *ram_);
  if (done) return Pop::kChain;
  flights_.give_back(chain.head_);
  return refuse(chain, done.error());
}

/// Nobody can be told about a head beyond the table; the entry is passed over.
Pop SplitQueue::refuse_head(Chain& chain) {
  if (chain.head_ <= mask_) return refuse(chain, QueueError::kInFlight);
  chain.set_empty();
  chain.error_ = QueueError::kBadHead;
  return Pop::kMalformed;
}

Pop SplitQueue::refuse(Chain& chain, QueueError error) {
  chain.set_empty();
  chain.error_ = error;
  if (in_order_) {
    reorder_.push(chain.head_, 1, true);
    drain_in_order();
  } else {
    put_used(chain.head_, 0);
  }
  return Pop::kMalformed;
}

Result<void, QueueError> SplitQueue::add_used_slowly(std::uint16_t head, std::uint32_t written) {
  if (!flights_.is_taken(head)) return fail(QueueError::kNotInFlight);
  flights_.give_back(head);
  if (broken_ && broken_by_ == QueueError::kRingNotMapped) return fail(broken_by_);
  if (in_order_) {
    reorder_.finish(head, written);
    drain_in_order();
  } else {
    put_used(head, written);
  }
  return {};
}

void SplitQueue::drain_in_order() {
  detail::Reorder::Entry entry;
  while (reorder_.take(&entry)) put_used(entry.token, entry.written);
}

Result<void, QueueError> SplitQueue::undo_pop(const Chain& chain) {
  if (!flights_.is_taken(chain.head_)) return fail(QueueError::kNotInFlight);
  flights_.give_back(chain.head_);
  --next_avail_;
  if (in_order_) {
    reorder_.pop_last();
    avail_end_ = next_avail_;
  }
  return {};
}

Result<void, QueueError> SplitQueue::adopt_slowly(std::uint16_t head) {
  if (head > mask_) return fail(QueueError::kBadHead);
  if (!flights_.is_free(head)) return fail(QueueError::kInFlight);
  flights_.take(head);
  flights_.set_aside(head);
  reorder_.push(head, 1, false);
  return {};
}

void SplitQueue::set_used_flags(std::uint16_t flags) {
  detail::store<std::uint16_t>(rings_.device + SplitUsed::kFlags, flags);
  rings_.device_dirty.mark(SplitUsed::kFlags, 2);
}

void SplitQueue::mark_used() {
  rings_.device_dirty.mark(SplitUsed::kIndex, 2);
  const std::uint32_t count = std::min<std::uint32_t>(next_used_ - marked_, size());
  for (std::uint32_t i = next_used_ - count; i != next_used_; ++i) {
    rings_.device_dirty.mark(SplitUsed::entry(i & mask_), 8);
  }
  marked_ = next_used_;
}

bool SplitQueue::remount() {
  if (!flights_.renew()) return true;  // later, when older requests have come back
  ram_ = flights_.ram();
  window_ = {};
  const auto rings = detail::resolve(shape_, ram_->view());
  if (!rings) {
    flights_.pin_previous();  // as rings_ still points there
    broken_ = true;
    broken_by_ = QueueError::kRingNotMapped;
    avail_end_ = next_avail_;
    return false;
  }
  place(*rings);
  return true;
}

}  // namespace vmm::virtio_queue
