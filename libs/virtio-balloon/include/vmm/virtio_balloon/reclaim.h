// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>

#include "vmm/vm_memory/discard.h"
#include "vmm/vm_memory/region.h"

namespace vmm::virtio_balloon {

/// Takes the host memory behind pages that the guest does not use.
///
/// Threads: the device's worker. The guest may use the pages again at any time after the call.
class Reclaim {
 public:
  virtual ~Reclaim() = default;
  Reclaim(const Reclaim&) = delete;
  Reclaim& operator=(const Reclaim&) = delete;

  /// The pages in which it takes memory of `region`: bytes, a power of two of 4096 at least.
  /// Constant.
  [[nodiscard]] virtual std::uint64_t granule(const vm_memory::Region& region) const = 0;
  /// Takes the memory of `part`, which lies in the region and is whole granules.
  virtual void reclaim(const vm_memory::Region& region, const vm_memory::RegionPart& part) = 0;

 protected:
  Reclaim() = default;
};

/// Gives the memory back to the host with vm_memory::discard(). What cannot be given back stays.
[[nodiscard]] std::shared_ptr<Reclaim> make_discarding_reclaim();

}  // namespace vmm::virtio_balloon
