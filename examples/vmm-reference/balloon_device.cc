// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "balloon_device.h"

#include <utility>

namespace vmm::reference {

void PinnableReclaim::set_pinned(bool pinned) {
  const MutexLock lock(mutex_);
  pinned_ = pinned;
}

void PinnableReclaim::reclaim(const vm_memory::Region& region, const vm_memory::RegionPart& part) {
  const MutexLock lock(mutex_);
  if (!pinned_) reclaim_->reclaim(region, part);
}

Outcome<std::shared_ptr<virtio_balloon::Balloon>> make_balloon(
    const BalloonConfig& config, std::shared_ptr<PinnableReclaim> reclaim) {
  VMM_STEP("--balloon", auto balloon,
           virtio_balloon::Balloon::create({.target = config.size,
                                            .deflate_on_oom = config.deflate_on_oom,
                                            .page_reporting = config.free_page_reporting,
                                            .reclaim = std::move(reclaim)}));
  return balloon;
}

}  // namespace vmm::reference
