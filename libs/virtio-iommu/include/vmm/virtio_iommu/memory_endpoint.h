// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>

#include "vmm/virtio_iommu/endpoint.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::virtio_iommu {

/// A device that works on a GuestMemory, as virtio devices do: that memory is at I/O addresses
/// here, and follows the requests of the driver as a map that is replaced with each batch of them.
///
/// Who translates reads one atomic number and searches an array that never changes; there is no
/// lock on that way, and nothing to wait for. When the driver is told that a mapping is over, the
/// map that had it has been replaced, and a queue looks for that between the moment in which it
/// sees a buffer and the one in which it translates its addresses: so nothing that is offered from
/// then on is translated by it. Buffers that a device has already keep their memory until they come
/// back.
class MemoryEndpoint final : public Endpoint {
 public:
  MemoryEndpoint();

  /// For the device's transport, which it outlives. Nothing is mapped at first.
  [[nodiscard]] const vm_memory::GuestMemory& memory() const { return memory_; }

  Result<void> enter(const Space& space) override;
  Result<void> map(const Mapping& mapping, const vm_memory::RegionMap& memory) override;
  Result<void> unmap(const Mapping& mapping) override;
  void commit(const Space& space) override;

 private:
  void rebuild(const Space& space);

  vm_memory::GuestMemory memory_;
  bool changed_ = false;  // since the last rebuild()
};

}  // namespace vmm::virtio_iommu
