// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <variant>

#include "vmm/base/result.h"
#include "vmm/virtio_queue/chain.h"
#include "vmm/virtio_queue/packed_queue.h"
#include "vmm/virtio_queue/queue_error.h"
#include "vmm/virtio_queue/split_queue.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::virtio_queue {

/// What one call of Queue::process() did.
struct Served {
  std::uint32_t chains = 0;     ///< valid ones
  std::uint32_t malformed = 0;  ///< given back with length 0
  bool more = false;    ///< the budget ended it: call again, after the others had their turn
  bool notify = false;  ///< interrupt the driver
  bool broken = false;  ///< the ring is invalid: DEVICE_NEEDS_RESET
};

/// The device's side of a running virtqueue, split or packed. Made by QueueConfig::activate().
///
/// Rings are resolved to host memory when the queue is made, and again when guest memory has
/// changed, which is looked at once per batch. Indices that the device owns are never read back.
///
///   while (queue.pop(chain) == Pop::kChain) {
///     const std::uint32_t written = serve(chain.reader(), chain.writer());
///     (void)queue.add_used(chain.head(), written);
///   }
///   queue.publish();
///   if (queue.needs_notification()) interrupt();
///
/// Thread-safety: none; a queue belongs to one thread. It may be moved to another one between
/// calls. The driver runs concurrently with everything.
class Queue {
 public:
  static Result<Queue, QueueError> create(const QueueShape& shape,
                                          const vm_memory::GuestMemory& memory,
                                          const QueuePosition& position);
  [[nodiscard]] static QueuePosition start_position(bool packed) {
    const std::uint16_t start = packed ? RingPosition{}.bits() : std::uint16_t{0};
    return {.next_avail = start, .next_used = start};
  }

  /// Fills `chain` with the next one. A malformed chain is given back at once, with length 0.
  [[nodiscard]] Pop pop(Chain& chain) {
    if (SplitQueue* const split = std::get_if<SplitQueue>(&ring_)) return split->pop(chain);
    return packed().pop(chain);
  }
  /// Makes `chain`, the last one popped, available again.
  /// Errors: kNotInFlight.
  Result<void, QueueError> undo_pop(const Chain& chain) {
    return std::visit([&](auto& ring) { return ring.undo_pop(chain); }, ring_);
  }
  /// Gives a buffer back, of which the first `written` writable bytes were written. The driver
  /// sees it after publish().
  /// Errors: kNotInFlight when the device does not have this buffer; kRingNotMapped.
  Result<void, QueueError> add_used(std::uint16_t head, std::uint32_t written) {
    if (SplitQueue* const split = std::get_if<SplitQueue>(&ring_)) {
      return split->add_used(head, written);
    }
    return packed().add_used(head, written);
  }
  /// Shows the driver all buffers given back until now, by one store.
  void publish() {
    if (SplitQueue* const split = std::get_if<SplitQueue>(&ring_)) return split->publish();
    packed().publish();
  }
  /// Whether the driver wants an interrupt for what was given back since the last such question;
  /// after publish(). Spec: virtio 1.3, 2.7.7.2 and 2.8.10.
  [[nodiscard]] bool needs_notification() {
    if (SplitQueue* const split = std::get_if<SplitQueue>(&ring_)) {
      return split->needs_notification();
    }
    return packed().needs_notification();
  }

  /// Asks the driver not to kick; a hint only.
  void disable_notifications() {
    if (SplitQueue* const split = std::get_if<SplitQueue>(&ring_)) {
      return split->disable_notifications();
    }
    packed().disable_notifications();
  }
  /// Asks the driver to kick from now on. True when something came meanwhile, for which no kick
  /// may come: pop again.
  [[nodiscard]] bool enable_notifications() {
    if (SplitQueue* const split = std::get_if<SplitQueue>(&ring_)) {
      return split->enable_notifications();
    }
    return packed().enable_notifications();
  }

  /// Serves what is there, at most `budget` entries, with one publication and one decision about
  /// an interrupt. `handle(chain)` returns the bytes written as std::optional<std::uint32_t>;
  /// nullopt when it calls add_used() itself, now or later. Kicks are enabled afterwards unless
  /// there is more to do.
  template <class Handle>
  Served process(Chain& chain, std::uint32_t budget, Handle&& handle) {
    Served served;
    refresh();
    disable_notifications();
    for (std::uint32_t left = budget;; --left) {
      if (left == 0) {
        served.more = true;
        break;
      }
      const Pop popped = pop(chain);
      if (popped == Pop::kChain) {
        ++served.chains;
        const std::optional<std::uint32_t> written = handle(chain);
        if (written) (void)add_used(chain.head(), *written);
      } else if (popped == Pop::kMalformed) {
        ++served.malformed;
      } else if (popped == Pop::kBroken) {
        served.broken = true;
        break;
      } else if (!enable_notifications()) {
        break;
      }
    }
    publish();
    served.notify = needs_notification();
    return served;
  }

  /// Looks for changed guest memory now rather than with the next batch. False when the queue is
  /// broken, for example as its rings are not in guest RAM any more.
  bool refresh() {
    return std::visit([](auto& ring) { return ring.refresh(); }, ring_);
  }
  /// Whether the rings are followed as a packed ring.
  [[nodiscard]] bool is_packed() const { return std::holds_alternative<PackedQueue>(ring_); }
  [[nodiscard]] std::uint16_t size() const {
    return std::visit([](const auto& ring) { return ring.size(); }, ring_);
  }
  /// Where the queue is, to save it. Buffers in flight have to come back before, or be tracked by
  /// an inflight region.
  [[nodiscard]] QueuePosition position() const {
    if (const SplitQueue* const split = std::get_if<SplitQueue>(&ring_)) return split->position();
    return std::get_if<PackedQueue>(&ring_)->position();
  }
  /// Goes to a position and forgets what is in flight: for a device that stopped, dropped its
  /// requests, and serves again from there. Errors: kBadState, and nothing changes.
  Result<void, QueueError> rewind(const QueuePosition& position) {
    return std::visit([&](auto& ring) { return ring.rewind(position); }, ring_);
  }
  /// The index of the driver as it is now; split rings only, 0 otherwise.
  [[nodiscard]] std::uint16_t avail_index() const {
    const SplitQueue* const split = std::get_if<SplitQueue>(&ring_);
    return split == nullptr ? std::uint16_t{0} : split->avail_index();
  }
  /// After a restart: the device still has this buffer, of `descriptors` descriptors of a packed
  /// ring, which was popped before. Errors: kInFlight; kBadHead.
  Result<void, QueueError> adopt(std::uint16_t head, std::uint16_t descriptors = 1) {
    if (SplitQueue* const split = std::get_if<SplitQueue>(&ring_)) return split->adopt(head);
    return packed().adopt(head, descriptors);
  }

 private:
  explicit Queue(SplitQueue ring) : ring_(std::move(ring)) {}
  explicit Queue(PackedQueue ring) : ring_(std::move(ring)) {}
  /// Precondition: is_packed().
  [[nodiscard]] PackedQueue& packed() {
    PackedQueue* const ring = std::get_if<PackedQueue>(&ring_);
    if (ring == nullptr) __builtin_unreachable();
    return *ring;
  }

  std::variant<SplitQueue, PackedQueue> ring_;
};

}  // namespace vmm::virtio_queue
