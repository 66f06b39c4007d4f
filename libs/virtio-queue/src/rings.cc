// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/detail/rings.h"

#include "vmm/virtio_queue/detail/ram.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::virtio_queue::detail {
namespace {

using vm_memory::Access;
using vm_memory::GuestSlice;

/// `slice(address, bytes, access)` finds memory. Errors: kMisaligned, kRingNotMapped.
template <class Slice>
Result<GuestSlice, QueueError> part(const Slice& slice, GuestAddress at, std::size_t bytes,
                                    std::size_t alignment, Access access) {
  if (!at.is_aligned(alignment)) return fail(QueueError::kMisaligned);
  const auto found = slice(at, bytes, access);
  if (!found) return fail(QueueError::kRingNotMapped);
  // Regions are page aligned in the guest and in the host; a caller's own need not be.
  if (!found->is_aligned(alignment)) return fail(QueueError::kMisaligned);
  return *found;
}

template <class Slice>
Result<Rings, QueueError> resolve_by(const QueueShape& shape, const Slice& find) {
  const RingLayout layout = ring_layout(shape.size, shape.packed);
  const Access table_access = shape.packed ? Access::kReadWrite : Access::kRead;
  VMM_TRY(const GuestSlice descriptors,
          part(find, shape.rings.descriptors, layout.descriptors, kDescriptorBytes, table_access));
  VMM_TRY(const GuestSlice driver,
          part(find, shape.rings.driver, layout.driver, layout.driver_alignment, Access::kRead));
  VMM_TRY(const GuestSlice device,
          part(find, shape.rings.device, layout.device, layout.device_alignment, Access::kWrite));
  const auto host = [](const GuestSlice& slice) {
    return static_cast<std::byte*>(slice.unsafe_iovec().base);
  };
  return Rings{.descriptors = host(descriptors),
               .driver = host(driver),
               .device = host(device),
               .descriptors_dirty = descriptors.dirty(),
               .device_dirty = device.dirty()};
}

}  // namespace

Result<Rings, QueueError> resolve(const QueueShape& shape, vm_memory::MemoryView memory) {
  return resolve_by(
      shape, [&](GuestAddress at, std::size_t bytes, Access) { return memory.slice(at, bytes); });
}

Result<Rings, QueueError> resolve(const QueueShape& shape, const Ram& ram) {
  return resolve_by(shape, [&](GuestAddress at, std::size_t bytes, Access access) {
    return ram.slice(at.raw(), bytes, access);
  });
}

}  // namespace vmm::virtio_queue::detail
