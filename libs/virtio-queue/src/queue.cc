// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/queue.h"

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

}  // namespace vmm::virtio_queue
