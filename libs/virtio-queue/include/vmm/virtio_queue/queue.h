// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <concepts>
#include <cstdint>
#include <new>
#include <optional>
#include <span>
#include <utility>
#include <variant>

#include "vmm/base/result.h"
#include "vmm/virtio_queue/chain.h"
#include "vmm/virtio_queue/inflight.h"
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

/// What one call of Queue::pop() of many chains did.
struct Popped {
  std::uint32_t chains = 0;     ///< how many were filled, from the first one on
  std::uint32_t malformed = 0;  ///< given back with length 0
  Pop end = Pop::kChain;        ///< the last answer; kEmpty: there was no more
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
  /// For those without a QueueConfig. Precondition: shape.size is in [1, kMaxQueueSize] and, for a
  /// split ring, a power of two.
  /// Errors: kMisaligned, kRingNotMapped; kNoMemory; kBadState for a position that no such queue
  /// has.
  static Result<Queue, QueueError> create(const QueueShape& shape,
                                          const vm_memory::GuestMemory& memory,
                                          const QueuePosition& position);
  /// The position of a queue whose rings the driver has just set up.
  [[nodiscard]] static QueuePosition start_position(bool packed) {
    const std::uint16_t start = packed ? RingPosition{}.bits() : std::uint16_t{0};
    return {.next_avail = start, .next_used = start};
  }

  /// Fills `chain` with the next one. A malformed chain is given back at once, with length 0.
  [[nodiscard]] Pop pop(Chain& chain) {
    if (base().split_has_more()) [[likely]]
      return split().pop_next(chain);
    if (base().packed_may_have_more()) return packed().pop_next(chain);
    return is_packed() ? packed().pop_after_look(chain) : split().pop_after_look(chain);
  }
  /// Fills as many of `chains` as there are, in one go. Malformed ones are given back and passed
  /// over, at most as many as the queue is long.
  template <std::derived_from<Chain> ChainType, std::size_t kExtent>
  [[nodiscard]] Popped pop(std::span<ChainType, kExtent> chains);
  /// Makes `chain`, the last one popped, available again.
  /// Errors: kNotInFlight.
  Result<void, QueueError> undo_pop(const Chain& chain) {
    return std::visit([&](auto& ring) { return ring.undo_pop(chain); }, ring_);
  }
  /// Gives a buffer back, of which the first `written` writable bytes were written. The driver
  /// sees it after publish().
  /// Errors: kNotInFlight when the device does not have this buffer; kRingNotMapped.
  Result<void, QueueError> add_used(std::uint16_t head, std::uint32_t written) {
    const std::uint64_t token = head;
    const std::int32_t weight = base().recent(token);
    if (weight == detail::RingBase::kSplitWeight) [[likely]] {
      split().add_recent(token, written);
      return {};
    }
    if (weight > detail::RingBase::kSplitWeight) {
      packed().add_recent(token, written);
      return {};
    }
    return is_packed() ? packed().add_used(head, written) : split().add_used(head, written);
  }
  /// Shows the driver all buffers given back until now, by one store.
  void publish() {
    if (way() == Way::kSplit) [[likely]]
      return split().publish_plain();
    if (way() == Way::kPacked) return packed().publish_plain();
    publish_slowly();
  }
  /// add_used() and publish() of one buffer.
  Result<void, QueueError> complete(std::uint16_t head, std::uint32_t written) {
    const std::uint64_t token = head;
    const std::int32_t weight = base().recent(token);
    if (weight == detail::RingBase::kSplitWeight) [[likely]] {
      split().add_recent(token, written);
      split().publish_plain();
      return {};
    }
    if (weight > detail::RingBase::kSplitWeight &&
        packed().complete_recent(token, written, weight)) {
      return {};
    }
    return complete_slowly(token, written);
  }
  /// Whether the driver wants an interrupt for what was given back since the last such question;
  /// after publish(), as what is not published may not count yet. Spec: virtio 1.3, 2.7.7.2
  /// and 2.8.10.
  [[nodiscard]] bool needs_notification() {
    return is_packed() ? packed().needs_notification() : split().needs_notification();
  }

  /// Asks the driver not to kick; a hint only. With EVENT_IDX there is nothing to write: the event
  /// that was asked for last has passed.
  void disable_notifications() {
    is_packed() ? packed().disable_notifications() : split().disable_notifications();
  }
  /// Asks the driver to kick from now on. True when something came meanwhile, for which no kick
  /// may come: pop again.
  [[nodiscard]] bool enable_notifications() {
    return is_packed() ? packed().enable_notifications() : split().enable_notifications();
  }

  /// Serves what is there, at most `budget` entries, with one publication and one decision about
  /// an interrupt. `handle(chain)` returns the bytes written as std::optional<std::uint32_t>;
  /// nullopt when it calls add_used() itself, now or later. Kicks are enabled afterwards unless
  /// there is more to do.
  template <class Handle>
  Served process(Chain& chain, std::uint32_t budget, Handle&& handle) {
    return process(chain, budget, std::forward<Handle>(handle), [] { return false; });
  }
  /// The same, which also ends as with the budget when `enough()` says so: it is asked before each
  /// chain but the first.
  template <class Handle, class Enough>
  Served process(Chain& chain, std::uint32_t budget, Handle&& handle, Enough&& enough) {
    Served served;
    refresh();
    disable_notifications();
    for (std::uint32_t left = budget;; --left) {
      if (left == 0 || (served.chains != 0 && enough())) {
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
  /// Another number than before once the queue has gone over to changed guest memory, by refresh()
  /// or pop(): what was popped before refers to the memory of then.
  [[nodiscard]] std::uint64_t memory_changes() const { return base().memory_changes(); }
  /// Whether the rings are followed as a packed ring.
  [[nodiscard]] bool is_packed() const { return base().is_packed(); }
  [[nodiscard]] std::uint16_t size() const { return base().size(); }  ///< descriptors
  /// What the queue was made from: for those who serve it elsewhere, as vhost does.
  [[nodiscard]] const QueueShape& shape() const { return base().shape(); }
  /// Where the queue is, to save it. Buffers in flight have to come back before, or be tracked by
  /// an inflight region.
  [[nodiscard]] QueuePosition position() const {
    return std::visit([](const auto& ring) { return ring.position(); }, ring_);
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
    if (!is_packed()) return split().adopt(head);
    return packed().adopt(head, descriptors);
  }
  /// After a restart: fills `chain` with a request that was popped before and is in flight. A
  /// malformed one is given back with length 0; one that this queue cannot have had is too, unless
  /// kInFlight or kBadHead says that there is nothing to give back.
  [[nodiscard]] Pop resubmit(Chain& chain, const Resubmit& request) {
    return is_packed() ? packed().resubmit(chain, request) : split().resubmit(chain, request);
  }
  /// Notes from now on in `region`, which outlives the queue, what is in flight, as SplitInflight
  /// and PackedInflight do; before the first pop(). If the region is one that an ended process
  /// left, the queue goes to where that was, and pop() first gives what was in flight, oldest
  /// first. Errors: those of open() and format(); kBadState for a region that no such queue left.
  Result<void, QueueError> track_inflight(const vm_memory::GuestSlice& region) {
    return std::visit([&](auto& ring) { return ring.track_inflight(region); }, ring_);
  }
  /// For PackedInflight: what stands in a packed ring for `chain`, the last one popped. How many
  /// of `out` were filled. A driver that has written there meanwhile cheats itself.
  std::size_t read_list(const Chain& chain, std::span<PackedDescriptor> out) {
    return is_packed() ? packed().read_list(chain, out) : 0;
  }

 private:
  using Way = detail::Way;

  explicit Queue(SplitQueue ring);
  explicit Queue(PackedQueue ring);

  template <class Ring, class Rings>
  [[nodiscard]] static auto& unchecked(Rings* rings) {
    auto* const ring = std::get_if<Ring>(rings);
    if (ring == nullptr) __builtin_unreachable();
    return *ring;
  }
  /// Both kinds begin with it, at the place of ring_; create() makes sure.
  [[nodiscard]] const detail::RingBase& base() const {
    return *std::launder(reinterpret_cast<const detail::RingBase*>(&ring_));
  }
  [[nodiscard]] Way way() const { return base().way(); }
  // Preconditions: of this kind.
  [[nodiscard]] SplitQueue& split() { return unchecked<SplitQueue>(&ring_); }
  [[nodiscard]] PackedQueue& packed() { return unchecked<PackedQueue>(&ring_); }

  [[gnu::noinline]] void publish_slowly();
  [[gnu::noinline]] Result<void, QueueError> complete_slowly(std::uint64_t token,
                                                             std::uint32_t written);

  std::variant<SplitQueue, PackedQueue> ring_;
};

template <std::derived_from<Chain> ChainType, std::size_t kExtent>
Popped Queue::pop(std::span<ChainType, kExtent> chains) {
  Popped popped;
  while (popped.chains < chains.size()) {
    popped.end = pop(chains[popped.chains]);
    if (popped.end == Pop::kChain) {
      ++popped.chains;
    } else if (popped.end != Pop::kMalformed || ++popped.malformed == size()) {
      break;
    }
  }
  return popped;
}

}  // namespace vmm::virtio_queue
