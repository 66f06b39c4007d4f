// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "vmm/base/result.h"
#include "vmm/virtio_queue/chain.h"
#include "vmm/virtio_queue/detail/ring_base.h"
#include "vmm/virtio_queue/detail/ring_word.h"
#include "vmm/virtio_queue/detail/rings.h"
#include "vmm/virtio_queue/detail/split_walk.h"
#include "vmm/virtio_queue/detail/tracker.h"
#include "vmm/virtio_queue/inflight.h"
#include "vmm/virtio_queue/layout.h"
#include "vmm/virtio_queue/notification.h"
#include "vmm/virtio_queue/queue_error.h"
#include "vmm/virtio_queue/queue_types.h"

namespace vmm::virtio_queue {

/// The device's side of a running split ring: virtio 1.3, 2.7. See Queue, which has the same
/// functions for both kinds of ring, for what each does, and which says when those that are
/// called plain are enough.
class SplitQueue : public detail::RingBase {
 public:
  /// Precondition: shape.size is a power of two up to kMaxQueueSize.
  static Result<SplitQueue, QueueError> create(const QueueShape& shape,
                                               const vm_memory::GuestMemory& memory,
                                               const QueuePosition& position);

  ///@{
  /// As the functions of Queue with these names.
  [[nodiscard]] Pop pop(Chain& chain) {
    return split_has_more() ? pop_next(chain) : pop_after_look(chain);
  }
  /// Precondition: split_has_more().
  [[nodiscard]] Pop pop_next(Chain& chain) {
    const std::uint64_t head = detail::load_wide<std::uint16_t>(
        rings_.driver + SplitAvail::entry(static_cast<std::uint64_t>(next_avail_) & mask_));
    ++next_avail_;
    chain.label_.word = static_cast<std::uint32_t>(head);
    if (!flights_.is_free(head)) [[unlikely]]
      return refuse_head(chain);
    flights_.take(head, kSplitWeight);
    const std::byte* const at = rings_.descriptors + head * kDescriptorBytes;
    const auto flags = detail::load<std::uint32_t>(at + 12);  // and next, which does not matter
    if ((flags & (kDescNext | kDescIndirect)) != 0) return walk(chain, head * kDescriptorBytes);
    const auto address = detail::load<std::uint64_t>(at);
    const std::uint64_t length = detail::load_wide<std::uint32_t>(at + 8);
    if (!window_.holds(address, length)) [[unlikely]]
      return walk_carefully(chain);
    chain.set_single(window_.at(address), length, (flags & kDescWrite) != 0);
    return Pop::kChain;
  }
  [[gnu::noinline]] Pop pop_after_look(Chain& chain);
  Result<void, QueueError> undo_pop(const Chain& chain);
  /// Precondition: recent(head) is kSplitWeight.
  void add_recent(std::uint64_t head, std::uint32_t written) {
    flights_.give_back_recent(head);
    put_used(head, written);
  }
  Result<void, QueueError> add_used(std::uint16_t head, std::uint32_t written);
  void publish_plain() {
    // Release: a driver that sees the index (acquire) sees the elements and the payload.
    detail::store<std::uint16_t, __ATOMIC_RELEASE>(rings_.device + SplitUsed::kIndex,
                                                   static_cast<std::uint16_t>(next_used_));
  }
  void publish();
  [[nodiscard]] bool needs_notification() {
    const std::uint64_t added = next_used_ - signalled_;
    if (added == 0) return false;
    signalled_ = next_used_;
    detail::full_barrier();  // between used.idx and used_event or flags
    if (!event_idx_) {
      const auto flags = detail::load<std::uint16_t>(rings_.driver + SplitAvail::kFlags);
      return (flags & kAvailNoInterrupt) == 0;
    }
    return event_in_last(detail::load<std::uint16_t>(used_event_),
                         static_cast<std::uint16_t>(next_used_), added);
  }
  void disable_notifications() {
    if (!event_idx_) set_used_flags(kUsedNoNotify);
  }
  [[nodiscard]] bool enable_notifications() {
    if (event_idx_) {
      detail::store<std::uint16_t>(avail_event_, static_cast<std::uint16_t>(next_avail_));
      rings_.device_dirty.mark(SplitUsed::avail_event(size()), 2);
    } else {
      set_used_flags(0);
    }
    detail::full_barrier();  // between avail_event or flags and avail.idx
    return avail_index() != static_cast<std::uint16_t>(next_avail_) && !waiting_;
  }
  bool refresh() { return flights_.is_stale() ? remount() : !broken_; }

  /// The driver's index, as it is now.
  [[nodiscard]] std::uint16_t avail_index() const {
    return detail::load<std::uint16_t, __ATOMIC_ACQUIRE>(rings_.driver + SplitAvail::kIndex);
  }
  [[nodiscard]] QueuePosition position() const {
    return {.next_avail = static_cast<std::uint16_t>(next_avail_),
            .next_used = static_cast<std::uint16_t>(next_used_)};
  }
  Result<void, QueueError> adopt(std::uint16_t head) { return take_over(head, kSplitWeight); }
  Pop resubmit(Chain& chain, const Resubmit& request);
  Result<void, QueueError> rewind(const QueuePosition& position);
  Result<void, QueueError> track_inflight(const vm_memory::GuestSlice& region);
  ///@}

 private:
  SplitQueue(const QueueShape& shape, const vm_memory::GuestMemory& memory);

  void put_used(std::uint64_t head, std::uint32_t written) {
    std::byte* const at = rings_.device + SplitUsed::entry(next_used_ & mask_);
    detail::store<std::uint32_t>(at, static_cast<std::uint32_t>(head));
    detail::store<std::uint32_t>(at + 4, written);
    ++next_used_;
  }

  /// The chain whose first descriptor is at `offset`.
  [[gnu::always_inline, nodiscard]] Pop walk(Chain& chain, std::uint64_t offset) {
    if (!detail::split_walk(chain, rings_.descriptors, table_bytes_, step_mask_, window_, offset))
        [[unlikely]]
      return walk_indirect(chain);
    return Pop::kChain;
  }
  [[gnu::noinline]] Pop pop_after_change(Chain& chain);
  Pop look(Chain& chain);
  void put_used_thoroughly(std::uint16_t head, std::uint32_t written);
  [[nodiscard]] bool has_again() const { return tracker_ != nullptr && !tracker_->again.empty(); }
  [[gnu::noinline]] Pop pop_again(Chain& chain);
  [[gnu::noinline]] Pop pop_thoroughly(Chain& chain);
  [[gnu::noinline]] Pop walk_indirect(Chain& chain);
  [[gnu::noinline]] Pop walk_carefully(Chain& chain);
  [[gnu::noinline]] Pop refuse_head(Chain& chain);
  Pop refuse(Chain& chain, QueueError error);
  [[gnu::noinline]] Pop break_down(Chain& chain, QueueError error);
  void drain_in_order();
  void set_used_flags(std::uint16_t flags) {
    detail::store<std::uint16_t>(rings_.device + SplitUsed::kFlags, flags);
    rings_.device_dirty.mark(SplitUsed::kFlags, 2);
  }
  [[gnu::noinline]] bool remount();
  void place(const detail::Rings& rings);

  std::uint64_t mask_;
  std::uint64_t table_bytes_;
  std::uint64_t step_mask_;
  std::uint64_t next_used_ = 0;  // modulo 2^16 in the ring
  std::uint64_t signalled_ = 0;  // next_used_ at the last decision about a notification
  std::uint64_t marked_ = 0;     // next_used_ at the last publish()
  const std::byte* used_event_ = nullptr;
  std::byte* avail_event_ = nullptr;
  std::unique_ptr<detail::Tracker<SplitInflight>> tracker_;
};

}  // namespace vmm::virtio_queue
