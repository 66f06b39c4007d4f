// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "page_list.h"
#include "vmm/virtio_balloon/reclaim.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::virtio_balloon {

inline constexpr std::uint64_t kPageBytes = 4096;  ///< of the protocol, whatever the guest's are

/// The pages in the balloon. Where the host's pages are larger than the protocol's, it remembers
/// which parts of them were given, and gives each to the Reclaim when it is complete.
class GivenPages {
 public:
  /// `remember`: whether pages stay given until they are taken, so that a page may be completed by
  /// several requests. Without MUST_TELL_HOST the driver may use them at any time.
  GivenPages(Reclaim& reclaim, bool remember) : reclaim_(reclaim), remember_(remember) {}

  /// Pages that are not RAM are passed over.
  void give(const std::shared_ptr<const vm_memory::RegionMap>& map, const PageRun& run);
  void take(const std::shared_ptr<const vm_memory::RegionMap>& map, const PageRun& run);

 private:
  /// Of a region whose pages are larger: what is given of each.
  struct Parts {
    std::shared_ptr<const vm_memory::Region> region;
    std::uint64_t granule;
    std::vector<bool> given;            // by page of the protocol
    std::vector<std::uint32_t> counts;  // by page of the host
  };
  /// A range of pages of the protocol in one region.
  struct Range {
    const vm_memory::Region& region;
    std::uint64_t first;
    std::uint64_t count;
  };

  template <class Visit>
  void for_each_range(const vm_memory::RegionMap& map, const PageRun& run, Visit&& visit);
  void follow(const std::shared_ptr<const vm_memory::RegionMap>& map);
  Parts& parts_of(const Range& range, std::uint64_t granule);
  void give_whole(const Range& range, std::uint64_t granule);
  void give_parts(const Range& range, std::uint64_t granule);

  Reclaim& reclaim_;
  const bool remember_;
  std::shared_ptr<const vm_memory::RegionMap> map_;  // that parts_ is of
  std::vector<Parts> parts_;
};

}  // namespace vmm::virtio_balloon
