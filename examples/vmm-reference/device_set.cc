// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "device_set.h"

#include "vmm/virtio_queue/layout.h"

namespace vmm::reference {

std::unique_ptr<virtio_device::Workers> DeviceSlot::workers() const {
  std::vector<event_manager::EventLoop*> loops;
  for (const auto& thread : threads) loops.push_back(&thread->loop());
  return std::make_unique<virtio_device::LoopWorkers>(std::move(loops));
}

std::uint64_t DeviceSlot::queue_features() const {
  std::uint64_t features = virtio_queue::kFeatureIndirect;
  if (config.event_idx) features |= virtio_queue::kFeatureEventIdx;
  if (config.packed) features |= virtio_queue::kFeaturePacked;
  return features;
}

}  // namespace vmm::reference
