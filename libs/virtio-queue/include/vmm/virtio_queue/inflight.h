// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/virtio_queue/queue_error.h"
#include "vmm/vm_memory/guest_slice.h"

namespace vmm::virtio_queue {

/// One request that was in flight when the back end ended.
struct Resubmit {
  std::uint16_t head = 0;
  std::uint64_t order = 0;  ///< the older, the smaller
};

/// Tracks the buffers of a split queue in memory that survives the process, so that a restarted
/// back end neither loses nor repeats a request. The layout is that of vhost-user's inflight
/// region for split virtqueues (VHOST_USER_PROTOCOL_F_INFLIGHT_SHMFD).
///
/// The order of calls is what makes it work: begin() after each pop; for a batch stage() for each
/// buffer before Queue::publish(), then commit() after it with the used index that was published.
/// After a restart recover() says which buffers are to be served again, oldest first; give each to
/// Queue::adopt().
///
/// The region is shared with the front end and not trusted. Thread-safety: as the queue.
class SplitInflight {
 public:
  static constexpr std::size_t kHeaderBytes = 16;
  static constexpr std::size_t kEntryBytes = 16;
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
  /// The buffers that are still in flight, oldest first; `used_index` is read from the used ring.
  /// Finishes a batch that was published but not committed.
  [[nodiscard]] std::vector<Resubmit> recover(std::uint16_t used_index);

 private:
  SplitInflight(const vm_memory::GuestSlice& region, std::uint16_t size)
      : region_(region), size_(size) {}
  static Result<void, QueueError> check(const vm_memory::GuestSlice& region, std::uint16_t size);
  [[nodiscard]] static std::size_t entry(std::uint16_t head) {
    return kHeaderBytes + kEntryBytes * std::size_t{head};
  }

  vm_memory::GuestSlice region_;
  std::uint16_t size_;
  std::uint64_t counter_ = 0;
  std::vector<std::uint16_t> staged_;
};

}  // namespace vmm::virtio_queue
