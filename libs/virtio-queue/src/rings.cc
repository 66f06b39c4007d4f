// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/detail/rings.h"

#include "vmm/virtio_queue/layout.h"

namespace vmm::virtio_queue::detail {
namespace {

using vm_memory::GuestSlice;

Result<GuestSlice, QueueError> part(vm_memory::MemoryView memory, GuestAddress at,
                                    std::size_t bytes, std::size_t alignment) {
  if (!at.is_aligned(alignment)) return fail(QueueError::kMisaligned);
  const auto slice = memory.slice(at, bytes);
  if (!slice) return fail(QueueError::kRingNotMapped);
  // Regions are page aligned in the guest and in the host; a caller's own need not be.
  if (!slice->is_aligned(alignment)) return fail(QueueError::kMisaligned);
  return *slice;
}

}  // namespace

Result<Rings, QueueError> resolve(const QueueShape& shape, vm_memory::MemoryView memory) {
  const RingLayout layout = ring_layout(shape.size, shape.packed);
  VMM_TRY(const GuestSlice descriptors,
          part(memory, shape.rings.descriptors, layout.descriptors, kDescriptorBytes));
  VMM_TRY(const GuestSlice driver,
          part(memory, shape.rings.driver, layout.driver, layout.driver_alignment));
  VMM_TRY(const GuestSlice device,
          part(memory, shape.rings.device, layout.device, layout.device_alignment));
  const auto host = [](const GuestSlice& slice) {
    return static_cast<std::byte*>(slice.unsafe_iovec().base);
  };
  return Rings{.descriptors = host(descriptors),
               .driver = host(driver),
               .device = host(device),
               .descriptors_dirty = descriptors.dirty(),
               .device_dirty = device.dirty()};
}

}  // namespace vmm::virtio_queue::detail
