// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "block_map.h"
#include "layout.h"
#include "vmm/base/mutex.h"
#include "vmm/virtio_device/interrupt.h"
#include "vmm/virtio_mem/mem.h"

namespace vmm::virtio_mem {

/// The region and its blocks, shared by the device, its worker and the VMM.
///
/// Threads: any. `change_` is held while blocks come and go, `mutex_` for a look; in this order.
class Mem::RegionState {
 public:
  explicit RegionState(Options options);

  [[nodiscard]] const Options& options() const { return options_; }
  [[nodiscard]] Config config() const;
  void attach(std::shared_ptr<virtio_device::Interrupt> interrupt);

  Result<void> set_requested(std::uint64_t bytes);
  Result<void> unplug_all();
  /// Does what the driver asks for.
  Response execute(const Request& request);

 private:
  [[nodiscard]] std::uint64_t usable_for(std::uint64_t requested) const;
  [[nodiscard]] std::optional<BlockMap::Run> checked_run(const Request& request) const
      VMM_REQUIRES(change_);
  [[nodiscard]] AddressRange range_of(const BlockMap::Run& run) const;
  ResponseType plug(const BlockMap::Run& run) VMM_REQUIRES(change_);
  ResponseType unplug(const BlockMap::Run& run) VMM_REQUIRES(change_);
  Result<void> take_all() VMM_REQUIRES(change_);
  [[nodiscard]] BlockState state_of(const BlockMap::Run& run) const VMM_REQUIRES(change_);

  const Options options_;
  mutable Mutex change_;
  BlockMap map_ VMM_GUARDED_BY(change_);
  mutable Mutex mutex_;
  std::uint64_t requested_ VMM_GUARDED_BY(mutex_);
  std::uint64_t usable_ VMM_GUARDED_BY(mutex_);
  std::uint64_t plugged_ VMM_GUARDED_BY(mutex_) = 0;
  std::shared_ptr<virtio_device::Interrupt> interrupt_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::virtio_mem
