// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>

#include "vmm/base/result.h"
#include "vmm/virtio_queue/chain.h"
#include "vmm/virtio_queue/detail/flights.h"
#include "vmm/virtio_queue/detail/reorder.h"
#include "vmm/virtio_queue/detail/ring_word.h"
#include "vmm/virtio_queue/detail/rings.h"
#include "vmm/virtio_queue/layout.h"
#include "vmm/virtio_queue/notification.h"
#include "vmm/virtio_queue/queue_error.h"
#include "vmm/virtio_queue/queue_types.h"

namespace vmm::virtio_queue {

/// The device's side of a running split ring: virtio 1.3, 2.7. See Queue, which has the same
/// functions for both kinds of ring, for what each does.
class SplitQueue {
 public:
  /// Precondition: shape.size is a power of two up to kMaxQueueSize.
  static Result<SplitQueue, QueueError> create(const QueueShape& shape,
                                               const vm_memory::GuestMemory& memory,
                                               const QueuePosition& position);

  [[nodiscard]] Pop pop(Chain& chain) {
    if (next_avail_ == avail_end_) [[unlikely]]
      return pop_after_look(chain);
    return pop_next(chain);
  }
  Result<void, QueueError> undo_pop(const Chain& chain);
  Result<void, QueueError> add_used(std::uint16_t head, std::uint32_t written) {
    if (!flights_.is_recent(head)) [[unlikely]]
      return add_used_slowly(head, written);
    flights_.give_back_recent(head);
    put_used(head, written);
    return {};
  }
  void publish() {
    // Release: a driver that sees the index (acquire) sees the elements and the payload.
    detail::store<std::uint16_t, __ATOMIC_RELEASE>(rings_.device + SplitUsed::kIndex,
                                                   static_cast<std::uint16_t>(next_used_));
    if (rings_.device_dirty.bitmap != nullptr) [[unlikely]]
      mark_used();
  }
  [[nodiscard]] bool needs_notification() {
    const std::uint32_t added = next_used_ - signalled_;
    if (added == 0) return false;
    signalled_ = next_used_;
    detail::full_barrier();  // between used.idx and used_event or flags
    if (!event_idx_) {
      const auto flags = detail::load<std::uint16_t>(rings_.driver + SplitAvail::kFlags);
      return (flags & kAvailNoInterrupt) == 0;
    }
    const auto event = detail::load<std::uint16_t>(used_event_);
    return added > 0xffff || event_passed(event, static_cast<std::uint16_t>(next_used_),
                                          static_cast<std::uint16_t>(next_used_ - added));
  }
  void disable_notifications() {
    if (!event_idx_) set_used_flags(kUsedNoNotify);
  }
  [[nodiscard]] bool enable_notifications() {
    if (event_idx_) {
      detail::store<std::uint16_t>(avail_event_, next_avail_);
      rings_.device_dirty.mark(SplitUsed::avail_event(size()), 2);
    } else {
      set_used_flags(0);
    }
    detail::full_barrier();  // between avail_event or flags and avail.idx
    return avail_index() != next_avail_;
  }
  bool refresh() { return flights_.is_stale() ? remount() : !broken_; }

  /// The driver's index, as it is now.
  [[nodiscard]] std::uint16_t avail_index() const {
    return detail::load<std::uint16_t, __ATOMIC_ACQUIRE>(rings_.driver + SplitAvail::kIndex);
  }
  [[nodiscard]] std::uint16_t size() const { return static_cast<std::uint16_t>(mask_ + 1); }
  [[nodiscard]] QueuePosition position() const {
    return {.next_avail = next_avail_, .next_used = static_cast<std::uint16_t>(next_used_)};
  }
  Result<void, QueueError> adopt(std::uint16_t head) {
    if (!flights_.is_free(head) || in_order_) [[unlikely]]
      return adopt_slowly(head);
    flights_.take(head);
    return {};
  }
  Result<void, QueueError> rewind(const QueuePosition& position);

 private:
  SplitQueue(const QueueShape& shape, const vm_memory::GuestMemory& memory);

  Pop pop_next(Chain& chain) {
    const auto head =
        detail::load<std::uint16_t>(rings_.driver + SplitAvail::entry(next_avail_ & mask_));
    ++next_avail_;
    chain.head_ = head;
    chain.ram_ = ram_;
    if (!flights_.is_free(head)) [[unlikely]]
      return refuse_head(chain);
    flights_.take(head);
    const std::byte* const at = rings_.descriptors + std::size_t{head} * kDescriptorBytes;
    const auto flags = detail::load<std::uint32_t>(at + 12);  // and next, which does not matter
    if ((flags & (kDescNext | kDescIndirect)) == 0) {
      const auto address = detail::load<std::uint64_t>(at);
      const auto length = detail::load<std::uint32_t>(at + 8);
      if (std::byte* const host = window_.find(address, length)) [[likely]] {
        chain.set_single(host, length, (flags & kDescWrite) != 0);
        return Pop::kChain;
      }
    }
    return walk(chain);
  }
  void put_used(std::uint16_t head, std::uint32_t written) {
    std::byte* const at = rings_.device + SplitUsed::entry(next_used_ & mask_);
    detail::store<std::uint32_t>(at, head);
    detail::store<std::uint32_t>(at + 4, written);
    ++next_used_;
  }

  Pop pop_after_look(Chain& chain);
  Pop look(Chain& chain);
  Pop walk(Chain& chain);
  Pop refuse_head(Chain& chain);
  Pop refuse(Chain& chain, QueueError error);
  Pop break_down(Chain& chain, QueueError error);
  Result<void, QueueError> add_used_slowly(std::uint16_t head, std::uint32_t written);
  Result<void, QueueError> adopt_slowly(std::uint16_t head);
  void drain_in_order();
  void set_used_flags(std::uint16_t flags);
  void mark_used();
  bool remount();
  void place(const detail::Rings& rings);

  detail::Rings rings_;
  std::uint32_t mask_;
  std::uint16_t next_avail_ = 0;
  std::uint16_t avail_end_ = 0;  // of the last look
  bool event_idx_;
  bool in_order_;
  std::uint32_t next_used_ = 0;  // modulo 2^16 in the ring
  std::uint32_t signalled_ = 0;  // next_used_ at the last decision about a notification
  std::uint32_t marked_ = 0;     // next_used_ at the last mark_used()
  const std::byte* used_event_ = nullptr;
  std::byte* avail_event_ = nullptr;
  const detail::Ram* ram_;
  detail::Window window_;
  detail::Flights flights_;
  detail::Reorder reorder_;
  bool broken_ = false;
  QueueError broken_by_{};
  QueueShape shape_;
};

}  // namespace vmm::virtio_queue
