// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "vmm/base/guest_address.h"
#include "vmm/base/iova.h"
#include "vmm/base/result.h"
#include "vmm/vm_memory/guest_memory.h"
#include "vmm/vm_memory/translation.h"
#include "vmm/vm_memory/translator.h"

namespace vmm::virtio_iommu {

/// What one MAP request made: virtio 1.3, 5.13.6.5.
struct Mapping {
  Iova first;                                           ///< the first address
  std::uint64_t last = 0;                               ///< inclusive; not below `first`
  GuestAddress target;                                  ///< all of the target is below 2^64
  vm_memory::Access access = vm_memory::Access::kNone;  ///< READ and WRITE of the request's flags
  bool mmio = false;                                    ///< to registers of another device

  /// The size of the range, less one, as it may be 2^64.
  [[nodiscard]] std::uint64_t bytes_less_one() const { return last - first.raw(); }
  friend bool operator==(const Mapping&, const Mapping&) = default;
};

/// The mappings of a domain, disjoint, by their first address.
using Mappings = std::map<std::uint64_t, Mapping>;

/// What an endpoint can reach.
enum class Reach : std::uint8_t {
  kNothing,  ///< it is not attached, or attached to nothing that exists any more
  kAll,      ///< bypass: guest memory at its own addresses
  kMapped,   ///< what its domain maps
};

/// Addresses that a driver must not map for an endpoint: virtio 1.3, 5.13.6.8.1.
struct ReservedRange {
  std::uint64_t first = 0;  ///< the first address
  std::uint64_t last = 0;   ///< inclusive
  bool msi = false;         ///< the doorbell of MSIs, of which an endpoint has one at most

  friend bool operator==(const ReservedRange&, const ReservedRange&) = default;
};

/// What an endpoint sees at one moment. Valid during the call that gives it.
struct Space {
  Reach reach = Reach::kNothing;                       ///< says which of the rest matters
  const Mappings& mappings;                            ///< empty unless kMapped
  std::shared_ptr<const vm_memory::RegionMap> memory;  ///< guest RAM
  std::shared_ptr<vm_memory::FaultHandler> faults;     ///< for accesses that lead nowhere
};

/// A device behind the IOMMU, or rather what makes its DMA follow the driver's requests.
///
/// Threads: one call at a time: a lock of the IOMMU is held, so that an implementation must not
/// call the IOMMU, and waits for nobody who does.
class Endpoint {
 public:
  virtual ~Endpoint() = default;
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  /// What the device's hardware or host keeps for itself.
  [[nodiscard]] virtual std::span<const ReservedRange> reserved() const { return {}; }
  /// Goes over to another space, also as guest memory has changed. When it returns, the device
  /// reaches nothing of the one before that is not in this one, whatever the answer.
  /// Errors: the device reaches nothing.
  virtual Result<void> enter(const Space& space) = 0;
  /// Adds a mapping to the space, which is kMapped. It needs not work before commit().
  /// Errors: nothing has changed.
  virtual Result<void> map(const Mapping& mapping, const vm_memory::RegionMap& memory) = 0;
  /// Takes it away. It may work until commit().
  /// Errors: the device may still reach it; the mapping is over all the same.
  virtual Result<void> unmap(const Mapping& mapping) = 0;
  /// The driver is about to be told of what was done: from now on all of it is true.
  virtual void commit(const Space& space) = 0;

 protected:
  Endpoint() = default;
};

}  // namespace vmm::virtio_iommu
