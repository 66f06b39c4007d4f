// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>

#include "vmm/base/guest_address.h"
#include "vmm/base/result.h"
#include "vmm/virtio_queue/queue_error.h"
#include "vmm/vm_memory/memory_view.h"

namespace vmm::virtio_queue {

/// Where the three parts of a queue are. Spec: virtio 1.3, 2.7 and 2.8.
struct RingAddresses {
  GuestAddress descriptors;  ///< descriptor table, or packed ring; 16-byte aligned
  GuestAddress driver;  ///< available ring, 2-byte aligned; or driver event suppression, 4-byte
  GuestAddress device;  ///< used ring, or device event suppression; 4-byte aligned

  friend bool operator==(const RingAddresses&, const RingAddresses&) = default;
};

/// What makes a queue what it is; does not change while it runs.
struct QueueShape {
  RingAddresses rings;
  std::uint16_t size = 0;
  bool packed = false;
  bool event_idx = false;
  bool in_order = false;
};

namespace detail {

class Ram;

/// The three parts in host memory.
struct Rings {
  std::byte* descriptors = nullptr;
  std::byte* driver = nullptr;
  std::byte* device = nullptr;
  vm_memory::DirtyWindow descriptors_dirty;
  vm_memory::DirtyWindow device_dirty;
};

/// Errors: kMisaligned, kRingNotMapped.
[[nodiscard]] Result<Rings, QueueError> resolve(const QueueShape& shape,
                                                vm_memory::MemoryView memory);
/// The same where addresses may be I/O addresses.
[[nodiscard]] Result<Rings, QueueError> resolve(const QueueShape& shape, const Ram& ram);

}  // namespace detail
}  // namespace vmm::virtio_queue
