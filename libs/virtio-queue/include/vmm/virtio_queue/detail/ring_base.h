// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>

#include "vmm/base/result.h"
#include "vmm/virtio_queue/chain.h"
#include "vmm/virtio_queue/detail/flights.h"
#include "vmm/virtio_queue/detail/reorder.h"
#include "vmm/virtio_queue/detail/ring_word.h"
#include "vmm/virtio_queue/detail/rings.h"
#include "vmm/virtio_queue/queue_error.h"
#include "vmm/virtio_queue/queue_types.h"

namespace vmm::virtio_queue::detail {

/// What the calls of a queue have to care for. The plain ways, whose usual cases are all in
/// headers, know neither dirty bitmaps, I/O addresses, inflight regions nor IN_ORDER; the thorough
/// ones do. In these a buffer in flight is set aside, and a batch is one buffer, so that the usual
/// cases do not apply.
enum class Way : std::uint16_t { kSplit, kPacked, kSplitThorough, kPackedThorough };

/// What both kinds of ring have: memory, buffers in flight, and how a ring ends.
class RingBase {
 public:
  /// Weights of buffers: of a split ring kSplitWeight, of a packed one a multiple of 16, the bytes
  /// of its descriptors.
  static constexpr std::uint8_t kSplitWeight = 1;

  [[nodiscard]] Way way() const { return way_; }
  [[nodiscard]] bool is_packed() const { return (static_cast<unsigned>(way_) & 1) != 0; }
  [[nodiscard]] bool is_thorough() const { return (static_cast<unsigned>(way_) & 2) != 0; }
  [[nodiscard]] std::uint16_t size() const { return shape_.size; }
  [[nodiscard]] const QueueShape& shape() const { return shape_; }
  // One comparison for both, as it is in the way of each request.
  /// Whether the batch that was found by the last look has more, in a split ring.
  [[nodiscard]] bool split_has_more() const { return next_avail_ < avail_end_; }
  /// Whether it may have more, in a packed ring.
  [[nodiscard]] bool packed_may_have_more() const { return next_avail_ > avail_end_; }
  /// The weight of a buffer that the device has, on a plain way; else 0 or less.
  [[nodiscard]] std::int32_t recent(std::uint64_t token) const { return flights_.recent(token); }

  /// How often guest memory was replaced.
  [[nodiscard]] std::uint64_t memory_changes() const { return memory_changes_; }

  /// Notes what the thorough ways want to know about a chain that was popped.
  void note(Chain& chain);
  /// Whether the device has this buffer, which is given back then.
  /// Errors: kNotInFlight; kRingNotMapped, and it is given back all the same.
  Result<std::uint32_t, QueueError> give_back(std::uint16_t token);

 protected:
  RingBase(const QueueShape& shape, const vm_memory::GuestMemory& memory);

  /// From now on there is an inflight region, which only the thorough ways care for.
  void keep_inflight();
  /// Forgets what is in flight.
  void forget();
  /// Guest memory was replaced: the rings in the new one. Broken when they are not in RAM any more.
  std::optional<Rings> renew();
  void break_by(QueueError error);
  [[nodiscard]] Pop broken(Chain& chain) const;
  /// Whether a look has to be thorough because of memory.
  [[nodiscard]] bool special_memory() const {
    return flights_.ram()->tracked() || flights_.ram()->translated();
  }
  /// The next buffer cannot be had before memory changes.
  [[nodiscard]] Pop wait_for_memory(Chain& chain);
  /// Errors: kBadHead, kInFlight.
  Result<void, QueueError> take_over(std::uint16_t token, std::uint32_t weight);

  // First what each request touches. Numbers are of 64 bits also where fewer would do: the
  // compiler knows then that a store to a ring does not change them.
  Way way_ = Way::kSplit;
  bool event_idx_;
  bool in_order_;
  bool inflight_kept_ = false;
  bool broken_ = false;
  bool look_closely_ = false;  // it is broken, or something is to be served again first
  QueueError broken_by_{};
  Rings rings_;
  // Of split rings: the number of the next entry, and of the first one that was not there at the
  // last look; modulo 2^16 in the ring.
  // Of packed rings: 0, and -1 in a batch, else 0.
  std::int64_t next_avail_ = 0;
  std::int64_t avail_end_ = 0;
  Window window_;
  Flights flights_;
  Reorder reorder_;
  QueueShape shape_;
  std::uint64_t memory_changes_ = 0;
  bool waiting_ = false;  // the next buffer is at I/O addresses that are not mapped yet
};

}  // namespace vmm::virtio_queue::detail
