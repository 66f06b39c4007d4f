// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/base/result.h"
#include "vmm/virtio_queue/chain.h"
#include "vmm/virtio_queue/detail/ring_base.h"
#include "vmm/virtio_queue/detail/ring_word.h"
#include "vmm/virtio_queue/detail/rings.h"
#include "vmm/virtio_queue/inflight.h"
#include "vmm/virtio_queue/layout.h"
#include "vmm/virtio_queue/notification.h"
#include "vmm/virtio_queue/queue_error.h"
#include "vmm/virtio_queue/queue_types.h"

namespace vmm::virtio_queue {

/// The device's side of a running packed ring: virtio 1.3, 2.8. See Queue, which has the same
/// functions for both kinds of ring, for what each does, and which says when those that are
/// called plain are enough.
class PackedQueue : public detail::RingBase {
 public:
  /// Precondition: shape.size is in [1, kMaxQueueSize].
  static Result<PackedQueue, QueueError> create(const QueueShape& shape,
                                                const vm_memory::GuestMemory& memory,
                                                const QueuePosition& position);

  [[nodiscard]] Pop pop(Chain& chain) {
    const std::byte* const at = avail_;
    // Acquire: a flag that says available means that the rest of the list is there.
    const auto rest = detail::load<std::uint32_t, __ATOMIC_ACQUIRE>(at + 12);  // id and flags
    const std::uint64_t id = rest & 0xffff;
    if ((rest & (kAvailMask | kNext | kIndirect)) != available_ || !flights_.is_free(id) ||
        room_ == 0) [[unlikely]]
      return pop_other(chain);
    const auto address = detail::load<std::uint64_t>(at);
    const std::uint64_t length = detail::load_wide<std::uint32_t>(at + 8);
    if (!window_.holds(address, length)) [[unlikely]]
      return pop_other(chain);
    accept(id, kDescriptorBytes);
    chain.label_ = static_cast<std::uint32_t>(id);
    chain.set_single(window_.at(address), length, (rest & kWrite) != 0);
    return Pop::kChain;
  }
  Result<void, QueueError> undo_pop(const Chain& chain);
  Result<void, QueueError> add_used(std::uint16_t id, std::uint32_t written) {
    const detail::Flights::Tag bytes = flights_.recent(id);
    if (bytes <= 0) [[unlikely]]
      return add_used_slowly(id, written);
    flights_.give_back_recent(id);
    put_used(id, written, static_cast<std::uint32_t>(bytes));
    return {};
  }
  void publish_plain() {
    if (staged_ == nullptr) return;
    // Release: a driver that sees this descriptor used (acquire) sees those after it, and the
    // payload.
    detail::store<std::uint32_t, __ATOMIC_RELEASE>(staged_ + 12,
                                                   static_cast<std::uint32_t>(staged_rest_));
    staged_ = nullptr;
  }
  void publish();
  [[nodiscard]] bool needs_notification() {
    const std::uint64_t steps = used_bytes_ - signalled_;
    if (steps == 0) return false;
    signalled_ = used_bytes_;
    detail::full_barrier();  // between the used descriptor and the driver's event structure
    const auto events = detail::load<std::uint32_t>(rings_.driver);
    const std::uint32_t flags = events >> 16 & 3;
    if (flags != kEventsDescriptor || !event_idx_) return flags != kEventsDisable;
    return packed_event_passed(RingPosition::from_bits(static_cast<std::uint16_t>(events)),
                               next_used(), steps / kDescriptorBytes, size());
  }
  void disable_notifications() { set_events(std::uint32_t{kEventsDisable} << 16); }
  [[nodiscard]] bool enable_notifications() {
    set_events(event_idx_ ? next_avail().bits() | std::uint32_t{kEventsDescriptor} << 16
                          : std::uint32_t{kEventsEnable} << 16);
    detail::full_barrier();  // between the event structure and the next descriptor's flags
    return is_next_available();
  }
  bool refresh() { return flights_.is_stale() ? remount() : !broken_; }

  [[nodiscard]] QueuePosition position() const {
    return {.next_avail = next_avail().bits(), .next_used = next_used().bits()};
  }
  Result<void, QueueError> adopt(std::uint16_t id, std::uint16_t descriptors);
  Pop resubmit(Chain& chain, const Resubmit& request);
  std::size_t read_list(const Chain& chain, std::span<PackedDescriptor> out) const;
  Result<void, QueueError> rewind(const QueuePosition& position);

 private:
  PackedQueue(const QueueShape& shape, const vm_memory::GuestMemory& memory);

  // The flags of a descriptor, as they stand in the word that also holds the id.
  static constexpr std::uint32_t kNext = std::uint32_t{kDescNext} << 16;
  static constexpr std::uint32_t kWrite = std::uint32_t{kDescWrite} << 16;
  static constexpr std::uint32_t kIndirect = std::uint32_t{kDescIndirect} << 16;
  static constexpr std::uint32_t kAvail = std::uint32_t{kDescAvail} << 16;
  static constexpr std::uint32_t kUsed = std::uint32_t{kDescUsed} << 16;
  static constexpr std::uint32_t kAvailMask = kAvail | kUsed;
  static constexpr std::uint32_t kLook = 1;  // what no descriptor's bits are equal to

  [[nodiscard]] RingPosition position_of(const std::byte* at, bool wrap) const {
    return {static_cast<std::uint16_t>((at - rings_.descriptors) / kDescriptorBytes), wrap};
  }
  [[nodiscard]] RingPosition next_avail() const {
    return position_of(avail_, avail_bits_ == kAvail);
  }
  [[nodiscard]] RingPosition next_used() const { return position_of(used_, used_bits_ != 0); }
  [[nodiscard]] bool is_next_available() const {
    return (detail::load<std::uint32_t, __ATOMIC_ACQUIRE>(avail_ + 12) & kAvailMask) == avail_bits_;
  }
  [[nodiscard]] std::uint64_t ring_bytes() const {
    return static_cast<std::uint64_t>(end_ - rings_.descriptors);
  }

  void accept(std::uint64_t id, std::uint32_t bytes) {
    flights_.take(id, bytes);
    go_on(bytes);
  }
  /// Moves the place of the next available descriptor. Precondition: bytes <= room_.
  void go_on(std::uint32_t bytes) {
    room_ -= bytes;
    avail_ += bytes;
    if (avail_ >= end_) [[unlikely]]
      turn();
  }
  void turn() {
    avail_ -= ring_bytes();
    avail_bits_ ^= kAvailMask;
    available_ = kLook;  // a new batch begins
  }
  [[gnu::always_inline]] void put_used(std::uint16_t id, std::uint32_t written,
                                       std::uint32_t bytes) {
    std::byte* const at = used_;
    const std::uint64_t rest = id | used_bits_ | (written != 0 ? kWrite : 0);
    detail::store<std::uint32_t>(at + 8, written);
    if (staged_ == nullptr) {  // shown last, by publish()
      staged_ = at;
      staged_rest_ = rest;
    } else {
      detail::store<std::uint32_t>(at + 12, static_cast<std::uint32_t>(rest));
    }
    used_bytes_ += bytes;
    used_ = at + bytes;
    if (used_ >= end_) [[unlikely]] {
      used_ -= ring_bytes();
      used_bits_ ^= kAvailMask;
    }
  }
  void set_events(std::uint32_t events) {
    detail::store<std::uint32_t>(rings_.device, events);
    rings_.device_dirty.mark(0, 4);
  }

  [[gnu::noinline]] Pop pop_other(Chain& chain);
  [[gnu::noinline]] Pop look(Chain& chain);
  [[gnu::noinline]] Pop walk_carefully(Chain& chain);
  [[gnu::noinline]] Pop pop_thoroughly(Chain& chain);
  Pop walk(Chain& chain);
  /// Whether the driver may have made this many bytes of descriptors available.
  [[nodiscard]] bool has_room(std::uint32_t bytes) {
    if (bytes > room_) [[unlikely]]
      take_stock();
    return bytes <= room_;
  }
  [[gnu::noinline]] void take_stock();
  Pop refuse(Chain& chain, QueueError error, std::uint32_t bytes);
  [[gnu::noinline]] Pop break_down(Chain& chain, QueueError error);
  void drain_in_order();
  [[gnu::noinline]] Result<void, QueueError> add_used_slowly(std::uint16_t id,
                                                             std::uint32_t written);
  [[gnu::noinline]] bool remount();

  std::uint64_t available_ = kLook;  // the bits of a descriptor that is to be popped next
  std::uint64_t avail_bits_ = kAvail;
  std::uint64_t used_bits_ = kAvailMask;
  std::byte* avail_ = nullptr;    // the descriptor that is to be popped next
  std::byte* used_ = nullptr;     // the one that is to be written next
  std::byte* end_ = nullptr;      // of the ring
  std::uint64_t used_bytes_ = 0;  // of descriptors, since the start
  std::uint64_t limit_ = 0;       // which popped ones must not pass, as of the last take_stock()
  std::uint64_t room_ = 0;        // how far these are from there
  std::uint64_t signalled_ = 0;   // used_bytes_ at the last decision about a notification
  std::uint64_t marked_ = 0;      // used_bytes_ at the last publish()
  std::byte* staged_ = nullptr;   // the first used descriptor that is not published
  std::uint64_t staged_rest_ = 0;
};

}  // namespace vmm::virtio_queue
