// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost/vring.h"

#include "vmm/base/checked.h"

namespace vmm::vhost {
namespace {

using virtio_queue::QueueShape;
using virtio_queue::RingLayout;
using vm_memory::GuestSlice;
using vm_memory::MemoryView;

struct Parts {
  GuestSlice descriptors;
  GuestSlice driver;
  GuestSlice device;
};

Result<GuestSlice, VhostError> part(MemoryView memory, GuestAddress at, std::size_t bytes,
                                    std::size_t alignment) {
  if (!at.is_aligned(alignment)) return fail(VhostError::kMisaligned);
  const auto slice = memory.slice(at, bytes);
  if (!slice) return fail(VhostError::kRingNotMapped);
  if (!slice->is_aligned(alignment)) return fail(VhostError::kMisaligned);
  return *slice;
}

Result<Parts, VhostError> check(const VringSetup& setup, MemoryView memory) {
  const QueueShape& shape = setup.shape;
  const bool good = shape.size != 0 && shape.size <= setup.max_size &&
                    (shape.packed || is_power_of_two(shape.size));
  if (!good) return fail(VhostError::kBadSize);
  const RingLayout layout = virtio_queue::ring_layout(shape.size, shape.packed);
  Parts parts;
  VMM_TRY(parts.descriptors, part(memory, shape.rings.descriptors, layout.descriptors,
                                  virtio_queue::kDescriptorBytes));
  VMM_TRY(parts.driver, part(memory, shape.rings.driver, layout.driver, layout.driver_alignment));
  VMM_TRY(parts.device, part(memory, shape.rings.device, layout.device, layout.device_alignment));
  return parts;
}

std::optional<GuestAddress> log_address(const VringSetup& setup) {
  return setup.log ? std::optional(setup.shape.rings.device) : std::nullopt;
}

std::uint64_t host_address(const GuestSlice& slice) {
  return reinterpret_cast<std::uintptr_t>(slice.unsafe_iovec().base);
}

}  // namespace

Result<VringAddresses, VhostError> host_addresses(const VringSetup& setup, MemoryView memory) {
  VMM_TRY(const Parts parts, check(setup, memory));
  return VringAddresses{.descriptors = host_address(parts.descriptors),
                        .driver = host_address(parts.driver),
                        .device = host_address(parts.device),
                        .log = log_address(setup)};
}

Result<VringAddresses, VhostError> guest_addresses(const VringSetup& setup, MemoryView memory) {
  VMM_TRY(const Parts parts, check(setup, memory));
  (void)parts;
  return VringAddresses{.descriptors = setup.shape.rings.descriptors.raw(),
                        .driver = setup.shape.rings.driver.raw(),
                        .device = setup.shape.rings.device.raw(),
                        .log = log_address(setup)};
}

}  // namespace vmm::vhost
