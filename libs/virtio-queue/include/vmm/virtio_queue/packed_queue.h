// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "vmm/base/result.h"
#include "vmm/virtio_queue/chain.h"
#include "vmm/virtio_queue/detail/packed_walk.h"
#include "vmm/virtio_queue/detail/ring_base.h"
#include "vmm/virtio_queue/detail/ring_word.h"
#include "vmm/virtio_queue/detail/rings.h"
#include "vmm/virtio_queue/detail/tracker.h"
#include "vmm/virtio_queue/inflight.h"
#include "vmm/virtio_queue/layout.h"
#include "vmm/virtio_queue/notification.h"
#include "vmm/virtio_queue/queue_error.h"
#include "vmm/virtio_queue/queue_types.h"

namespace vmm::virtio_queue {

/// The device's side of a running packed ring: virtio 1.3, 2.8. Queue has the same functions for
/// both kinds of ring, and says what each does and when those that are called plain are enough.
class PackedQueue : public detail::RingBase {
 public:
  /// Precondition: shape.size is in [1, kMaxQueueSize].
  static Result<PackedQueue, QueueError> create(const QueueShape& shape,
                                                const vm_memory::GuestMemory& memory,
                                                const QueuePosition& position);

  ///@{
  /// As the functions of Queue with these names.
  [[nodiscard]] Pop pop(Chain& chain) {
    return packed_may_have_more() ? pop_next(chain) : pop_after_look(chain);
  }
  /// Precondition: packed_may_have_more().
  [[nodiscard]] Pop pop_next(Chain& chain) {
    const std::byte* const at = avail_;
    const std::uint64_t rest = next_rest();
    constexpr std::uint64_t kOne = kAvailMask | kNext | kIndirect;
    if ((rest & kOne) == avail_bits_) return pop_single(chain, at, rest);
    if ((rest & (kOne | kWrite)) == list_bits_)  // the first of several, and readable, as mostly
      return pop_list(chain, at, kinds_.readable_next);
    return pop_other(chain);
  }
  [[gnu::noinline]] Pop pop_after_look(Chain& chain);
  Result<void, QueueError> undo_pop(const Chain& chain);
  /// Precondition of both: recent(id), which is `bytes`, is more than 0.
  void add_recent(std::uint64_t id, std::uint32_t written) {
    const std::int64_t bytes = flights_.recent_anew(id);
    flights_.give_back_recent(id);
    put_used(id, written, bytes);
  }
  /// add_recent() and publish_plain(). False, and nothing done: one is staged, or the ring ends.
  [[nodiscard]] bool complete_recent(std::uint64_t id, std::uint32_t written, std::int64_t bytes) {
    const std::int64_t next = used_ + bytes;
    if (next >= 0) [[unlikely]]  // kStaged, too
      return false;
    flights_.give_back_recent(id);
    std::byte* const at = end_ + used_;
    used_ = next;
    detail::store<std::uint32_t>(at + 8, written);
    // Release: as in publish_plain().
    detail::store<std::uint32_t, __ATOMIC_RELEASE>(at + 12, used_rest(id, written));
    return true;
  }
  Result<void, QueueError> add_used(std::uint16_t id, std::uint32_t written);
  void publish_plain() {
    if (used_ != kStaged) return;
    // Release: a driver that sees this descriptor used (acquire) sees those after it, and the
    // payload.
    detail::store<std::uint32_t, __ATOMIC_RELEASE>(end_ + staged_ + 12,
                                                   static_cast<std::uint32_t>(staged_rest_));
    used_ = staged_end_;
    signalled_ = staged_signalled_;
  }
  void publish();
  [[nodiscard]] bool needs_notification() {
    const std::int64_t steps = used_ - signalled_;
    if (steps == 0) return false;
    signalled_ = used_;
    detail::full_barrier();  // between the used descriptor and the driver's event structure
    const std::uint64_t events = detail::load_wide<std::uint32_t>(rings_.driver);
    const std::uint64_t event = events ^ event_key_;
    if (event > 0xffff) {
      constexpr std::uint64_t kDisable = std::uint64_t{kEventsDisable} << 16;
      return events <= (kDisable | 0xffff) ? events < kDisable : event_passed(events, steps);
    }
    // How many bytes the event lies behind the last descriptor, in the measure of signalled_.
    const auto behind = static_cast<std::uint64_t>(used_ + event_base_) - event * kDescriptorBytes;
    return behind < static_cast<std::uint64_t>(steps);
  }
  void disable_notifications() {
    if (!event_idx_) set_events(std::uint32_t{kEventsDisable} << 16);
  }
  [[nodiscard]] bool enable_notifications() {
    set_events(event_idx_ ? avail_event_ | static_cast<std::uint32_t>(avail_offset() / 16)
                          : std::uint32_t{kEventsEnable} << 16);
    detail::full_barrier();  // between the event structure and the next descriptor's flags
    return (next_rest() & kAvailMask) == avail_bits_ && !waiting_;
  }
  bool refresh() { return flights_.is_stale() ? remount() : !broken_; }

  [[nodiscard]] QueuePosition position() const {
    return {.next_avail = next_avail(), .next_used = next_used()};
  }
  Result<void, QueueError> adopt(std::uint16_t id, std::uint16_t descriptors);
  Pop resubmit(Chain& chain, const Resubmit& request);
  std::size_t read_list(const Chain& chain, std::span<PackedDescriptor> out) const;
  Result<void, QueueError> rewind(const QueuePosition& position);
  Result<void, QueueError> track_inflight(const vm_memory::GuestSlice& region);
  ///@}

 private:
  PackedQueue(const QueueShape& shape, const vm_memory::GuestMemory& memory);

  // The flags of a descriptor, as they stand in the word that also holds the id.
  static constexpr std::uint32_t kNext = std::uint32_t{kDescNext} << 16;
  static constexpr std::uint32_t kWrite = std::uint32_t{kDescWrite} << 16;
  static constexpr std::uint32_t kIndirect = std::uint32_t{kDescIndirect} << 16;
  static constexpr std::uint32_t kAvail = std::uint32_t{kDescAvail} << 16;
  static constexpr std::uint32_t kUsed = std::uint32_t{kDescUsed} << 16;
  static constexpr std::uint32_t kAvailMask = kAvail | kUsed;
  static constexpr std::int64_t kStaged = -1;
  static constexpr std::int64_t kTurn = std::int64_t{0x8000} * kDescriptorBytes;
  static constexpr std::uint64_t kNoEvent = std::uint64_t{1} << 32;

  /// RingPosition::bits() of the place `offset` bytes into the ring; the wrap counter is as the
  /// driver's AVAIL or the device's USED and AVAIL in `flags` say.
  [[nodiscard]] static std::uint16_t position_bits(std::uint64_t offset, std::uint64_t flags) {
    static_assert(kAvail >> 8 == 0x8000);
    return static_cast<std::uint16_t>(offset / kDescriptorBytes | (flags >> 8 & 0x8000));
  }
  [[nodiscard]] std::uint64_t avail_offset() const {
    return static_cast<std::uint64_t>(avail_ - rings_.descriptors);
  }
  [[nodiscard]] std::uint16_t next_avail() const {
    return position_bits(avail_offset(), avail_bits_);
  }
  [[nodiscard]] std::uint16_t next_used() const {
    return position_bits(ring_bytes() + static_cast<std::uint64_t>(used_end()), used_bits_);
  }
  /// The id and the flags of the descriptor that is to be popped next.
  [[nodiscard]] std::uint64_t next_rest() const {
    // Acquire: a flag that says available means that the rest of the list is there.
    return detail::load<std::uint32_t, __ATOMIC_ACQUIRE>(avail_ + 12);
  }
  [[nodiscard]] std::uint64_t ring_bytes() const {
    return static_cast<std::uint64_t>(end_ - rings_.descriptors);
  }

  /// Where the next used descriptor is to be, from the end of the ring on: negative.
  [[nodiscard]] std::int64_t used_end() const { return used_ == kStaged ? staged_end_ : used_; }
  /// Bytes of descriptors given back, from some start on.
  [[nodiscard]] std::uint64_t used_bytes() const {
    return used_turns_ + static_cast<std::uint64_t>(used_end());
  }
  /// How many bytes of descriptors the driver may have made available, which were not popped.
  [[nodiscard]] std::int64_t room() const {
    const bool same_turn = ((avail_bits_ ^ used_bits_) & kAvail) == 0;
    return (end_ - avail_) + used_end() + (same_turn ? end_ - rings_.descriptors : 0);
  }

  /// A list of one descriptor, at avail_, which is `at`; its id and flags are `rest`.
  [[nodiscard]] Pop pop_single(Chain& chain, const std::byte* at, std::uint64_t rest) {
    const std::uint64_t id = rest & 0xffff;
    const auto address = detail::load<std::uint64_t>(at);
    const std::uint64_t length = detail::load_wide<std::uint32_t>(at + 8);
    chain.label_.word = static_cast<std::uint32_t>(id);  // first, so that id needs no register
    if (!flights_.is_free(id) || !window_.holds(address, length)) [[unlikely]]
      return walk_carefully(chain);
    flights_.take(id, kDescriptorBytes);
    chain.set_single(window_.at(address), length, (rest & kWrite) != 0);
    go_on(kDescriptorBytes);
    return Pop::kChain;
  }
  /// A list at avail_, which is `at`; `flags`: those of its first descriptor.
  [[gnu::always_inline, nodiscard]] Pop pop_list(Chain& chain, const std::byte* at,
                                                 std::uint16_t flags) {
    detail::PackedList list;
    const auto most = static_cast<std::uint64_t>(left_);
    if (!detail::packed_walk(chain, window_, at, most, kinds_, flags, list) ||
        !flights_.is_free(list.id)) [[unlikely]]
      return walk_indirect(chain);
    note_taken(chain, list.id, list.bytes);
    go_on(list.bytes);
    return Pop::kChain;
  }
  void note_taken(Chain& chain, std::uint64_t id, std::uint32_t bytes) {
    flights_.take(id, bytes);
    chain.label_.word = static_cast<std::uint32_t>(id);
  }
  /// Moves the place of the next available descriptor. Precondition: bytes <= left_.
  void go_on(std::uint32_t bytes) {
    avail_ += bytes;
    detail::anew(left_) -= bytes;
    if (left_ == 0) [[unlikely]]
      restock();
  }
  /// Precondition: bytes <= room().
  void go_on_anywhere(std::uint32_t bytes);

  /// The id and the flags of a used descriptor.
  [[nodiscard]] std::uint32_t used_rest(std::uint64_t id, std::uint32_t written) const {
    std::uint64_t rest = id | used_bits_;
    if (written == 0) [[unlikely]] {
      asm volatile("" : "+r"(rest));  // a branch is shorter for all others
      rest &= ~std::uint64_t{kWrite};
    }
    return static_cast<std::uint32_t>(rest);
  }
  void put_used(std::uint64_t id, std::uint32_t written, std::int64_t bytes) {
    std::byte* const at = end_ + used_end();
    detail::store<std::uint32_t>(at + 8, written);
    if (used_ != kStaged) {  // shown last, by publish()
      staged_ = staged_end_ = used_;
      staged_rest_ = used_rest(id, written);
      staged_signalled_ = signalled_;
      used_ = signalled_ = kStaged;
    } else {
      detail::store<std::uint32_t>(at + 12, used_rest(id, written));
    }
    staged_end_ += bytes;
    if (staged_end_ >= 0) [[unlikely]]
      turn();
  }
  /// The next used descriptor is to be at the begin of the ring again.
  [[gnu::noinline]] void turn();
  /// Sets event_key_; `signalled`: what signalled_ is to be.
  void watch_events(std::int64_t signalled);
  /// The decision about any descriptor; `steps` since the last one, in the measure of signalled_.
  [[gnu::noinline]] bool event_passed(std::uint64_t events, std::int64_t steps);
  void set_events(std::uint32_t events) {
    detail::store<std::uint32_t>(rings_.device, events);
    rings_.device_dirty.mark(0, 4);
  }

  [[gnu::noinline]] Pop pop_after_change(Chain& chain);
  Pop look(Chain& chain);
  [[gnu::noinline]] Pop pop_other(Chain& chain);
  // `rest`: next_rest(), as it was read just now, and is available.
  [[gnu::noinline]] Pop pop_available(Chain& chain, std::uint64_t rest);
  [[gnu::noinline]] Pop walk_indirect(Chain& chain);
  [[gnu::noinline]] Pop walk_carefully(Chain& chain);
  /// Reads back the `count` descriptors before the next one: what stands there of buffer `id`.
  void read_back(std::uint16_t id, std::size_t count, std::span<PackedDescriptor> out) const;
  /// Notes a list of so many bytes that was popped just now.
  void note_begin(std::uint16_t id, std::uint32_t bytes);
  void put_used_thoroughly(std::uint16_t id, std::uint32_t written, std::uint32_t bytes);
  [[nodiscard]] bool has_again() const { return tracker_ != nullptr && !tracker_->again.empty(); }
  [[gnu::noinline]] Pop pop_again(Chain& chain);
  [[gnu::noinline]] Pop pop_thoroughly(Chain& chain, std::uint64_t rest);
  [[gnu::noinline]] Pop walk(Chain& chain, std::uint64_t rest);
  void begin_batch() { avail_end_ = -1; }
  void end_batch() { avail_end_ = 0; }
  void set_avail_bits(std::uint32_t bits) {
    avail_bits_ = bits;
    list_bits_ = bits | kNext;
    avail_event_ = std::uint32_t{kEventsDescriptor} << 16 | position_bits(0, bits);
    kinds_ = detail::PackedKinds::of(static_cast<std::uint16_t>(bits >> 16));
  }
  [[gnu::noinline]] void restock();
  void take_stock();
  Pop refuse(Chain& chain, QueueError error, std::uint32_t bytes);
  [[gnu::noinline]] Pop break_down(Chain& chain, QueueError error);
  void drain_in_order();
  [[gnu::noinline]] bool remount();

  // Of a descriptor that is available: AVAIL and USED.
  std::uint64_t avail_bits_ = kAvail;
  std::uint64_t list_bits_ = kAvail | kNext;  // and of the first one of a list
  detail::PackedKinds kinds_ = detail::PackedKinds::of(kDescAvail);
  std::uint32_t avail_event_ = 0;  // the device's event structure, but for the offset of avail_
  std::byte* avail_ = nullptr;     // the descriptor that is to be popped next
  std::byte* end_ = nullptr;       // of the ring
  std::int64_t left_ = 0;          // bytes from avail_ on that may be popped in one stretch
  // Of a used descriptor: AVAIL and USED, and WRITE.
  std::uint64_t used_bits_ = kAvailMask | kWrite;
  // The used descriptor that is to be written next, from the end of the ring on: negative. kStaged
  // while some are not published: from staged_ on, up to staged_end_.
  std::int64_t used_ = kStaged;
  std::int64_t staged_ = 0;
  std::int64_t staged_end_ = 0;
  std::uint64_t staged_rest_ = 0;
  std::int64_t staged_signalled_ = 0;  // what signalled_ is once they are
  // used_ at the last decision about a notification, kTurn less for each turn since; or kStaged.
  std::int64_t signalled_ = 0;
  // The driver's event structure, xor this, is at most 0xffff when it names a descriptor; the bit
  // of the wrap counter is set then when that is of this turn, and not of the one before. Or
  // kNoEvent, when two turns are not enough to decide.
  std::uint64_t event_key_ = kNoEvent;
  std::int64_t event_base_ = 0;   // kTurn and the bytes of the ring, less 1
  std::uint64_t used_turns_ = 0;  // bytes of the turns that used_ has made
  std::uint64_t marked_ = 0;      // used_bytes() at the last publish()
  std::unique_ptr<detail::Tracker<PackedInflight>> tracker_;
};

}  // namespace vmm::virtio_queue
