// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_balloon/reclaim.h"

#include "vmm/base/log.h"

namespace vmm::virtio_balloon {
namespace {

using vm_memory::Region;
using vm_memory::RegionPart;

class Discarding final : public Reclaim {
 public:
  [[nodiscard]] std::uint64_t granule(const Region& region) const override {
    return vm_memory::discard_granule(region);
  }
  void reclaim(const Region& region, const RegionPart& part) override {
    const auto discarded = vm_memory::discard(region, part);
    if (discarded) return;
    VMM_LOG_GUEST(kWarn, "balloon: %llu bytes at %#llx stay with the guest: %s",
                  static_cast<unsigned long long>(part.bytes),
                  static_cast<unsigned long long>(region.base().raw() + part.offset),
                  to_string(discarded.error()).c_str());
  }
};

}  // namespace

std::shared_ptr<Reclaim> make_discarding_reclaim() { return std::make_shared<Discarding>(); }

}  // namespace vmm::virtio_balloon
