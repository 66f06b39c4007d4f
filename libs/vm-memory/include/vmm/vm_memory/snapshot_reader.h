// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>

#include "vmm/vm_memory/guest_memory.h"

namespace vmm::vm_memory {

/// Follows the changes of a GuestMemory at the price of one plain load per look: for queue
/// handlers, which look once per kick. It keeps the map of its last look mapped until its next
/// one, so a handler that sleeps for long should forget() first.
///
/// Thread-safety: one reader belongs to one thread; the GuestMemory may be changed by others.
class SnapshotReader {
 public:
  /// Follows `memory`, which may be moved or destroyed meanwhile.
  explicit SnapshotReader(const GuestMemory& memory) : shared_(memory.shared_) {}

  /// Whether what current() gave last is still the newest map.
  [[nodiscard]] bool is_current() const {
    // Acquire pairs with the release in GuestMemory: a new number means that the new map is there.
    return shared_->generation.load(std::memory_order_acquire) == seen_;
  }
  /// The newest map, valid until the next call of current() or forget().
  [[nodiscard]] const RegionMap& current() {
    if (!is_current()) [[unlikely]]
      refresh();
    return *map_;
  }
  /// The newest map as a share, for those who keep it mapped beyond their next look.
  [[nodiscard]] std::shared_ptr<const RegionMap> share() {
    (void)current();
    return map_;
  }
  /// Lets go of the map.
  void forget() {
    map_.reset();
    seen_ = GuestMemory::kNoGeneration;
  }

 private:
  void refresh();

  std::shared_ptr<const GuestMemory::Shared> shared_;
  std::shared_ptr<const RegionMap> map_;
  std::uint64_t seen_ = GuestMemory::kNoGeneration;
};

}  // namespace vmm::vm_memory
