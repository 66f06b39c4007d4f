// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

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

/// The device's side of a running packed ring: virtio 1.3, 2.8. See Queue, which has the same
/// functions for both kinds of ring, for what each does.
class PackedQueue {
 public:
  /// Precondition: shape.size is in [1, kMaxQueueSize].
  static Result<PackedQueue, QueueError> create(const QueueShape& shape,
                                                const vm_memory::GuestMemory& memory,
                                                const QueuePosition& position);

  [[nodiscard]] Pop pop(Chain& chain) {
    const std::byte* const at = rings_.descriptors + std::size_t{avail_at_} * kDescriptorBytes;
    // Acquire: a flag that says available means that the rest of the list is there.
    const auto rest = detail::load<std::uint32_t, __ATOMIC_ACQUIRE>(at + 12);  // id and flags
    if ((rest & kAvailMask) != available_) [[unlikely]]
      return pop_after_look(chain);
    return pop_next(chain, at, rest);
  }
  Result<void, QueueError> undo_pop(const Chain& chain);
  Result<void, QueueError> add_used(std::uint16_t id, std::uint32_t written) {
    if (!flights_.is_recent(id)) [[unlikely]]
      return add_used_slowly(id, written);
    flights_.give_back_recent(id);
    const std::uint32_t count = counts_[id];
    outstanding_ -= count;
    put_used(id, written, count);
    return {};
  }
  void publish() {
    if (staged_ == nullptr) return;
    // Release: a driver that sees this descriptor used (acquire) sees those after it, and the
    // payload.
    detail::store<std::uint32_t, __ATOMIC_RELEASE>(staged_ + 12, staged_rest_);
    if (rings_.descriptors_dirty.bitmap != nullptr) [[unlikely]]
      mark_used(staged_);
    staged_ = nullptr;
  }
  [[nodiscard]] bool needs_notification() {
    const std::uint32_t steps = steps_;
    if (steps == 0) return false;
    steps_ = 0;
    detail::full_barrier();  // between the used descriptor and the driver's event structure
    const auto events = detail::load<std::uint32_t>(rings_.driver);
    const std::uint32_t flags = events >> 16 & 3;
    if (flags != kEventsDescriptor || !event_idx_) return flags != kEventsDisable;
    return packed_event_passed(RingPosition::from_bits(static_cast<std::uint16_t>(events)),
                               next_used(), steps, size_);
  }
  void disable_notifications() { set_events(std::uint32_t{kEventsDisable} << 16); }
  [[nodiscard]] bool enable_notifications() {
    set_events(event_idx_ ? next_avail().bits() | std::uint32_t{kEventsDescriptor} << 16
                          : std::uint32_t{kEventsEnable} << 16);
    detail::full_barrier();  // between the event structure and the next descriptor's flags
    const std::byte* const at = rings_.descriptors + std::size_t{avail_at_} * kDescriptorBytes;
    return (detail::load<std::uint32_t, __ATOMIC_ACQUIRE>(at + 12) & kAvailMask) == avail_bits_;
  }
  bool refresh() { return flights_.is_stale() ? remount() : !broken_; }

  [[nodiscard]] std::uint16_t size() const { return size_; }
  [[nodiscard]] QueuePosition position() const {
    return {.next_avail = next_avail().bits(), .next_used = next_used().bits()};
  }
  Result<void, QueueError> adopt(std::uint16_t id, std::uint16_t descriptors);
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

  [[nodiscard]] RingPosition next_avail() const { return {avail_at_, avail_bits_ == kAvail}; }
  [[nodiscard]] RingPosition next_used() const { return {used_at_, used_bits_ != 0}; }

  [[gnu::always_inline]] Pop pop_next(Chain& chain, const std::byte* at, std::uint32_t rest) {
    chain.ram_ = ram_;
    const auto id = static_cast<std::uint16_t>(rest);
    if ((rest & (kNext | kIndirect)) == 0 && flights_.is_free(id) && outstanding_ < size_) {
      const auto address = detail::load<std::uint64_t>(at);
      const auto length = detail::load<std::uint32_t>(at + 8);
      if (std::byte* const host = window_.find(address, length)) [[likely]] {
        chain.head_ = id;
        chain.descriptors_ = 1;
        chain.set_single(host, length, (rest & kWrite) != 0);
        accept(id, 1);
        return Pop::kChain;
      }
    }
    return walk(chain);
  }
  void accept(std::uint16_t id, std::uint32_t count) {
    flights_.take(id);
    counts_[id] = static_cast<std::uint16_t>(count);
    outstanding_ += count;
    go_on(count);
  }
  /// Moves the place of the next available descriptor.
  void go_on(std::uint32_t count) {
    const std::uint32_t to = avail_at_ + count;
    avail_at_ = static_cast<std::uint16_t>(to);
    if (to >= size_) [[unlikely]]
      turn(to - size_);
  }
  void turn(std::uint32_t to) {
    avail_at_ = static_cast<std::uint16_t>(to);
    avail_bits_ ^= kAvailMask;
    available_ = kLook;  // a new batch begins
  }
  [[gnu::always_inline]] void put_used(std::uint16_t id, std::uint32_t written,
                                       std::uint32_t count) {
    std::byte* const at = rings_.descriptors + std::size_t{used_at_} * kDescriptorBytes;
    const std::uint32_t rest = id | used_bits_ | (written != 0 ? kWrite : 0);
    detail::store<std::uint32_t>(at + 8, written);
    if (staged_ == nullptr) {  // shown last, by publish()
      staged_ = at;
      staged_rest_ = rest;
    } else {
      detail::store<std::uint32_t>(at + 12, rest);
      if (rings_.descriptors_dirty.bitmap != nullptr) [[unlikely]]
        mark_used(at);
    }
    steps_ += count;
    std::uint32_t to = used_at_ + count;
    if (to >= size_) [[unlikely]] {
      to -= size_;
      used_bits_ ^= kAvailMask;
    }
    used_at_ = static_cast<std::uint16_t>(to);
  }
  void set_events(std::uint32_t events) {
    detail::store<std::uint32_t>(rings_.device, events);
    rings_.device_dirty.mark(0, 4);
  }

  Pop pop_after_look(Chain& chain);
  Pop walk(Chain& chain);
  Pop refuse(Chain& chain, QueueError error);
  Pop break_down(Chain& chain, QueueError error);
  Result<void, QueueError> add_used_slowly(std::uint16_t id, std::uint32_t written);
  void drain_in_order();
  void mark_used(const std::byte* at);
  bool remount();

  detail::Rings rings_;
  std::uint32_t available_ = kLook;  // the bits of a descriptor that is to be popped next
  std::uint32_t avail_bits_ = kAvail;
  std::uint32_t used_bits_ = kAvailMask;
  std::uint16_t avail_at_ = 0;
  std::uint16_t used_at_ = 0;
  std::uint16_t size_;
  bool event_idx_;
  bool in_order_;
  std::uint32_t outstanding_ = 0;  // descriptors that the device has
  std::uint32_t steps_ = 0;        // descriptors used since the last decision to notify
  std::byte* staged_ = nullptr;    // the first used descriptor that is not published
  std::uint32_t staged_rest_ = 0;
  const detail::Ram* ram_;
  detail::Window window_;
  detail::Flights flights_;
  std::unique_ptr<std::uint16_t[]> counts_;  // descriptors of each buffer in flight
  detail::Reorder reorder_;
  bool broken_ = false;
  QueueError broken_by_{};
  QueueShape shape_;
};

}  // namespace vmm::virtio_queue
