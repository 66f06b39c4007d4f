// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What the inflight regions of both kinds of ring have in common.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include "vmm/virtio_queue/inflight.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::virtio_queue::inflight_region {

// Both headers begin: features (8 bytes), version, desc_num (2 bytes each).
inline constexpr std::size_t kVersion = 8;
inline constexpr std::size_t kDescNum = 10;
inline constexpr std::uint16_t kThisVersion = 1;

// A region is in the byte order of the host: both sides are on it.
inline constexpr auto kRelease = std::memory_order_release;

/// Whether there is room for a queue of `queue_size` that takes `bytes`.
inline Result<void, QueueError> check(const vm_memory::GuestSlice& region, std::size_t bytes,
                                      std::uint16_t queue_size) {
  if (queue_size == 0 || queue_size > kMaxQueueSize) return fail(QueueError::kBadSize);
  if (region.size() < bytes || !region.is_aligned(8)) return fail(QueueError::kBadState);
  return {};
}

/// check(), and whether an earlier process formatted it for the same queue.
inline Result<void, QueueError> check_formatted(const vm_memory::GuestSlice& region,
                                                std::size_t bytes, std::uint16_t queue_size) {
  VMM_TRY_DO(check(region, bytes, queue_size));
  if (region.load<std::uint16_t>(kVersion) != kThisVersion ||
      region.load<std::uint16_t>(kDescNum) != queue_size) {
    return fail(QueueError::kBadState);
  }
  return {};
}

/// The order in which buffers are served again. The tie, which only a broken region has, is
/// decided too, so that the answer is the same every time.
inline void sort_oldest_first(std::vector<Resubmit>& list) {
  std::sort(list.begin(), list.end(), [](const Resubmit& a, const Resubmit& b) {
    return a.order != b.order ? a.order < b.order : a.head < b.head;
  });
}

}  // namespace vmm::virtio_queue::inflight_region
