// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/queue.h"

#include "vmm/base/assert.h"

namespace vmm::virtio_queue {

Result<Queue, QueueError> Queue::create(const QueueShape& shape,
                                        const vm_memory::GuestMemory& memory,
                                        const QueuePosition& position) {
  if (shape.packed) {
    VMM_TRY(PackedQueue ring, PackedQueue::create(shape, memory, position));
    return Queue(std::move(ring));
  }
  VMM_TRY(SplitQueue ring, SplitQueue::create(shape, memory, position));
  return Queue(std::move(ring));
}

Queue::Queue(SplitQueue ring) : ring_(std::move(ring)) {
  VMM_ASSERT_ALWAYS(&base() == std::get_if<SplitQueue>(&ring_));
}

Queue::Queue(PackedQueue ring) : ring_(std::move(ring)) {
  VMM_ASSERT_ALWAYS(&base() == std::get_if<PackedQueue>(&ring_));
}

Result<void, QueueError> Queue::complete_slowly(std::uint64_t token, std::uint32_t written) {
  const auto head = static_cast<std::uint16_t>(token);
  auto added = is_packed() ? packed().add_used(head, written) : split().add_used(head, written);
  publish();
  return added;
}

void Queue::publish_slowly() {
  std::visit([](auto& ring) { ring.publish(); }, ring_);
}

}  // namespace vmm::virtio_queue
