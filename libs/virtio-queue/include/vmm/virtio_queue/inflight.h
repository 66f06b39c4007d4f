// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/virtio_queue/layout.h"
#include "vmm/virtio_queue/queue_error.h"
#include "vmm/virtio_queue/queue_types.h"
#include "vmm/vm_memory/guest_slice.h"

namespace vmm::virtio_queue {

/// Whether a region that a process left says nothing yet: it is to be formatted.
[[nodiscard]] bool is_fresh_inflight(const vm_memory::GuestSlice& region);

/// One request that was in flight when the back end ended; see Queue::resubmit().
struct Resubmit {
  std::uint16_t head = 0;   ///< or buffer id
  std::uint64_t order = 0;  ///< the older, the smaller
  /// Of a packed ring: what the driver had made available, which the ring may not hold any more.
  std::vector<PackedDescriptor> list = {};
};

/// Tracks the buffers of a split queue in memory that survives the process, so that a restarted
/// back end neither loses nor repeats a request. The layout is that of vhost-user's inflight
/// region for split virtqueues (VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD).
///
/// The order of calls is what makes it work: begin() after each pop; for a batch stage() for each
/// buffer before Queue::publish(), then commit() after it with the used index that was published.
/// After a restart recover() says which buffers are to be served again, oldest first; give each to
/// Queue::resubmit().
///
/// The region is shared with the front end and not trusted. Thread-safety: as the queue.
class SplitInflight {
 public:
  static constexpr std::size_t kHeaderBytes = 16;  ///< QueueRegionSplit, up to its desc[]
  static constexpr std::size_t kEntryBytes = 16;   ///< DescStateSplit
  /// The size of the region of one queue.
  [[nodiscard]] static constexpr std::size_t bytes(std::uint16_t queue_size) {
    return kHeaderBytes + kEntryBytes * std::size_t{queue_size};
  }

  /// A region for a queue that starts: clears it. Errors: kBadState when it is too small or not
  /// 8-byte aligned; kBadSize.
  static Result<SplitInflight, QueueError> format(const vm_memory::GuestSlice& region,
                                                  std::uint16_t queue_size);
  /// A region that an earlier process left. Errors: as format(); kBadState when it is of another
  /// version or size.
  static Result<SplitInflight, QueueError> open(const vm_memory::GuestSlice& region,
                                                std::uint16_t queue_size);

  /// The buffer was popped. Precondition of all: head < queue size (they ignore others).
  void begin(std::uint16_t head);
  /// The buffer is about to be given back.
  void stage(std::uint16_t head);
  /// All that was staged is visible to the driver; `used_index` is the ring's.
  void commit(std::uint16_t used_index);
  /// The buffer is not the device's any more, and was not given back.
  void cancel(std::uint16_t head);
  /// The buffers that are still in flight, oldest first; `used_index` is read from the used ring.
  /// Finishes a batch that was published but not committed.
  [[nodiscard]] std::vector<Resubmit> recover(std::uint16_t used_index);

 private:
  SplitInflight(const vm_memory::GuestSlice& region, std::uint16_t size)
      : region_(region), size_(size) {}
  [[nodiscard]] static std::size_t entry(std::uint16_t head) {
    return kHeaderBytes + kEntryBytes * std::size_t{head};
  }

  vm_memory::GuestSlice region_;
  std::uint16_t size_;
  std::uint64_t counter_ = 0;
  std::vector<std::uint16_t> staged_;
};

/// The same for a packed queue, in vhost-user's layout for those. The region also keeps the
/// descriptors of each buffer, as the ring does not.
///
/// begin() after each pop, with what Queue::read_list() says; stage() before and commit() after
/// Queue::publish(). After a restart recover(), then a Queue at position().
class PackedInflight {
 public:
  static constexpr std::size_t kHeaderBytes = 32;  ///< QueueRegionPacked, up to its desc[]
  static constexpr std::size_t kEntryBytes = 32;   ///< DescStatePacked
  /// Of a new ring.
  static constexpr QueuePosition kStart{.next_avail = 0x8000, .next_used = 0x8000};
  /// The size of the region of one queue.
  [[nodiscard]] static constexpr std::size_t bytes(std::uint16_t queue_size) {
    return kHeaderBytes + kEntryBytes * std::size_t{queue_size};
  }

  /// As those of SplitInflight; the queue starts at `position`, with nothing in flight.
  static Result<PackedInflight, QueueError> format(const vm_memory::GuestSlice& region,
                                                   std::uint16_t queue_size,
                                                   const QueuePosition& position = kStart);
  /// As SplitInflight::open().
  static Result<PackedInflight, QueueError> open(const vm_memory::GuestSlice& region,
                                                 std::uint16_t queue_size);

  /// The buffer was popped whose descriptors these are; the last one has its id. Not between
  /// stage() and commit().
  void begin(std::span<const PackedDescriptor> list);
  /// The buffer is not the device's any more, and was not given back. As begin().
  void cancel(std::uint16_t id);
  /// The buffer is about to be given back; ignores what is not in flight.
  void stage(std::uint16_t id);
  /// All that was staged is visible to the driver.
  void commit();
  /// The buffers that are still in flight, oldest first. Finishes a batch that was published but
  /// not committed, and takes back one that was not published: `ring` tells which.
  /// Precondition: `ring` is the queue's descriptor ring.
  [[nodiscard]] std::vector<Resubmit> recover(const vm_memory::GuestSlice& ring);
  /// Where the queue goes on; after recover().
  [[nodiscard]] QueuePosition position() const;

 private:
  static constexpr std::uint16_t kNone = 0xffff;

  PackedInflight(const vm_memory::GuestSlice& region, std::uint16_t size)
      : region_(region), size_(size), entries_(size, kNone) {}
  [[nodiscard]] std::size_t entry(std::uint16_t at) const {
    return kHeaderBytes + kEntryBytes * std::size_t{at};
  }
  [[nodiscard]] std::uint16_t get(std::size_t offset) const {
    return region_.load<std::uint16_t>(offset);
  }
  /// Of the header: the state of a batch in the making, and before it.
  void copy_state(bool to_old) const;
  [[nodiscard]] bool was_published(const vm_memory::GuestSlice& ring) const;
  void free_all_listed() const;
  [[nodiscard]] std::vector<PackedDescriptor> list_of(std::uint16_t at, std::uint16_t count) const;

  vm_memory::GuestSlice region_;
  std::uint16_t size_;
  std::vector<std::uint16_t> entries_;  // by buffer id
  std::uint64_t counter_ = 0;
  std::uint32_t in_flight_ = 0;  // descriptors, as of recover()
  std::vector<std::uint16_t> staged_;
};

}  // namespace vmm::virtio_queue
