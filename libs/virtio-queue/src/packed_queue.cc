// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/packed_queue.h"

#include "packed_walk.h"

namespace vmm::virtio_queue {

PackedQueue::PackedQueue(const QueueShape& shape, const vm_memory::GuestMemory& memory)
    : size_(shape.size),
      event_idx_(shape.event_idx),
      in_order_(shape.in_order),
      ram_(nullptr),
      flights_(memory, shape.size),
      counts_(std::make_unique<std::uint16_t[]>(shape.size)),
      reorder_(shape.in_order ? shape.size : 0u),
      shape_(shape) {
  ram_ = flights_.ram();
}

Result<PackedQueue, QueueError> PackedQueue::create(const QueueShape& shape,
                                                    const vm_memory::GuestMemory& memory,
                                                    const QueuePosition& position) {
  PackedQueue queue(shape, memory);
  VMM_TRY(queue.rings_, detail::resolve(shape, queue.ram_->view()));
  VMM_TRY_DO(queue.rewind(position));
  return queue;
}

Result<void, QueueError> PackedQueue::rewind(const QueuePosition& position) {
  const RingPosition avail = RingPosition::from_bits(position.next_avail);
  const RingPosition used = RingPosition::from_bits(position.next_used);
  const bool same_turn = avail.wrap == used.wrap;
  if (avail.offset >= size_ || used.offset >= size_ ||
      (same_turn ? used.offset > avail.offset : used.offset < avail.offset)) {
    return fail(QueueError::kBadState);
  }
  flights_.give_back_all();
  reorder_.clear();
  staged_ = nullptr;
  available_ = kLook;
  avail_at_ = avail.offset;
  used_at_ = used.offset;
  avail_bits_ = avail.wrap ? kAvail : kUsed;
  used_bits_ = used.wrap ? kAvailMask : 0;
  outstanding_ = static_cast<std::uint32_t>(avail.offset) + (same_turn ? 0 : size_) - used.offset;
  // Nobody knows whether the last completions before a save were notified: the first decision
  // is a yes.
  const std::uint16_t start = RingPosition{}.bits();
  steps_ = position == QueuePosition{start, start} ? 0 : 2u * size_;
  return {};
}

Pop PackedQueue::break_down(Chain& chain, QueueError error) {
  if (!broken_) broken_by_ = error;
  broken_ = true;
  available_ = kLook;
  chain.set_empty();
  chain.error_ = broken_by_;
  return Pop::kBroken;
}

Pop PackedQueue::pop_after_look(Chain& chain) {
  available_ = kLook;
  if (broken_) return break_down(chain, broken_by_);
  if (!refresh()) return break_down(chain, QueueError::kRingNotMapped);
  const std::byte* const at = rings_.descriptors + std::size_t{avail_at_} * kDescriptorBytes;
  const auto rest = detail::load<std::uint32_t, __ATOMIC_ACQUIRE>(at + 12);
  if ((rest & kAvailMask) != avail_bits_) return Pop::kEmpty;
  if (!in_order_) available_ = avail_bits_;
  const Pop popped = pop_next(chain, at, rest);
  if (in_order_ && popped == Pop::kChain) {
    reorder_.push(chain.head_, chain.descriptors_, false);
    flights_.set_aside(chain.head_);
  }
  return popped;
}

Pop PackedQueue::walk(Chain& chain) {
  const detail::PackedWalk::Ring ring{rings_.descriptors, size_, avail_at_, avail_bits_};
  Result<void, QueueError> done;
  if (!detail::PackedWalk::fast(chain, ring, *ram_, window_)) [[unlikely]]
    done = detail::PackedWalk::carefully(chain, ring, *ram_);
  if (outstanding_ + chain.descriptors_ > size_) [[unlikely]]
    return break_down(chain, QueueError::kBadAvailIndex);
  if (done && flights_.is_free(chain.head_)) [[likely]] {
    accept(chain.head_, chain.descriptors_);
    return Pop::kChain;
  }
  if (!done) return refuse(chain, done.error());
  return refuse(chain, chain.head_ < size_ ? QueueError::kInFlight : QueueError::kBadHead);
}

Pop PackedQueue::refuse(Chain& chain, QueueError error) {
  chain.set_empty();
  chain.error_ = error;
  go_on(chain.descriptors_);
  if (in_order_) {
    outstanding_ += chain.descriptors_;
    reorder_.push(chain.head_, chain.descriptors_, true);
    drain_in_order();
  } else {
    put_used(chain.head_, 0, chain.descriptors_);
  }
  return Pop::kMalformed;
}

Result<void, QueueError> PackedQueue::add_used_slowly(std::uint16_t id, std::uint32_t written) {
  if (!flights_.is_taken(id)) return fail(QueueError::kNotInFlight);
  flights_.give_back(id);
  if (broken_ && broken_by_ == QueueError::kRingNotMapped) return fail(broken_by_);
  if (in_order_) {
    reorder_.finish(id, written);
    drain_in_order();
  } else {
    outstanding_ -= counts_[id];
    put_used(id, written, counts_[id]);
  }
  return {};
}

void PackedQueue::drain_in_order() {
  detail::Reorder::Entry entry;
  while (reorder_.take(&entry)) {
    outstanding_ -= entry.descriptors;
    put_used(entry.token, entry.written, entry.descriptors);
  }
}

Result<void, QueueError> PackedQueue::undo_pop(const Chain& chain) {
  if (!flights_.is_taken(chain.head_)) return fail(QueueError::kNotInFlight);
  flights_.give_back(chain.head_);
  const std::uint32_t count = counts_[chain.head_];
  outstanding_ -= count;
  if (in_order_) reorder_.pop_last();
  available_ = kLook;
  if (avail_at_ >= count) {
    avail_at_ = static_cast<std::uint16_t>(avail_at_ - count);
  } else {
    avail_at_ = static_cast<std::uint16_t>(avail_at_ + size_ - count);
    avail_bits_ ^= kAvailMask;
  }
  return {};
}

Result<void, QueueError> PackedQueue::adopt(std::uint16_t id, std::uint16_t descriptors) {
  if (id >= size_ || descriptors == 0 || descriptors > size_) return fail(QueueError::kBadHead);
  if (!flights_.is_free(id)) return fail(QueueError::kInFlight);
  flights_.take(id);
  counts_[id] = descriptors;
  if (in_order_) {
    flights_.set_aside(id);
    reorder_.push(id, descriptors, false);
  }
  return {};
}

void PackedQueue::mark_used(const std::byte* at) {
  rings_.descriptors_dirty.mark(static_cast<std::uint64_t>(at - rings_.descriptors),
                                kDescriptorBytes);
}

bool PackedQueue::remount() {
  if (!flights_.renew()) return true;  // later, when older requests have come back
  ram_ = flights_.ram();
  window_ = {};
  available_ = kLook;
  const auto rings = detail::resolve(shape_, ram_->view());
  if (!rings) {
    flights_.pin_previous();  // as rings_ still points there
    broken_ = true;
    broken_by_ = QueueError::kRingNotMapped;
    return false;
  }
  if (staged_ != nullptr) staged_ = rings->descriptors + (staged_ - rings_.descriptors);
  rings_ = *rings;
  return true;
}

}  // namespace vmm::virtio_queue
