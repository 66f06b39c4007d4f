// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/virtio_device/testing/device_rig.h"

namespace vmm::virtio_device::testing {

/// What a driver does that has RING_RESET: resets a queue that runs, sets it up with the rings and
/// the size that it had, and enables it (2.6.1). False: the device does not let it.
[[nodiscard]] inline bool restart_queue(DeviceRig& rig, std::uint16_t queue) {
  const virtio_queue::RingAddresses rings = rig.rings(queue);
  const std::uint16_t size = rig.core().queue(queue)->size();
  rig.core().reset_queue(queue);
  virtio_queue::QueueConfig* const config = rig.core().editable_queue(queue);
  if (config == nullptr || !config->set_size(size) || !config->set_descriptors(rings.descriptors) ||
      !config->set_driver(rings.driver) || !config->set_device(rings.device)) {
    return false;
  }
  auto driver = virtio_queue::driver::Driver::create(
      {.rings = rings, .size = size, .packed = rig.options().packed}, rig.memory());
  if (!driver) return false;
  rig.driver(queue) = *std::move(driver);
  rig.core().enable_queue(queue);
  return rig.core().queue(queue)->ready();
}

}  // namespace vmm::virtio_device::testing
