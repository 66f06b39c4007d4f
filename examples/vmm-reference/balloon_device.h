// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>

#include "config.h"
#include "failure.h"
#include "vmm/base/mutex.h"
#include "vmm/virtio_balloon/balloon.h"
#include "vmm/virtio_balloon/reclaim.h"

namespace vmm::reference {

/// Gives pages of the balloon back to the host, but while guest memory is pinned for devices of the
/// host: they would go on using the pages, and the guest find others at their addresses.
class PinnableReclaim final : public virtio_balloon::Reclaim {
 public:
  explicit PinnableReclaim(std::shared_ptr<virtio_balloon::Reclaim> reclaim)
      : reclaim_(std::move(reclaim)) {}

  /// From any thread. What is being given back has been when this returns.
  void set_pinned(bool pinned);

  [[nodiscard]] std::uint64_t granule(const vm_memory::Region& region) const override {
    return reclaim_->granule(region);
  }
  void reclaim(const vm_memory::Region& region, const vm_memory::RegionPart& part) override;

 private:
  const std::shared_ptr<virtio_balloon::Reclaim> reclaim_;
  Mutex mutex_;
  bool pinned_ VMM_GUARDED_BY(mutex_) = false;
};

/// The balloon that --balloon asks for.
Outcome<std::shared_ptr<virtio_balloon::Balloon>> make_balloon(
    const BalloonConfig& config, std::shared_ptr<PinnableReclaim> reclaim);

}  // namespace vmm::reference
