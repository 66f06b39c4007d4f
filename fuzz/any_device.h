// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

#include "vmm/virtio_device/testing/request.h"
#include "vmm/virtio_device/virtio_device.h"

/// A virtio device with what the host has for it.
struct AnyDevice {
  std::shared_ptr<void> needed = nullptr;  ///< by the device, as long as it is there
  std::shared_ptr<vmm::virtio_device::VirtioDevice> device;
  /// Something that the host does meanwhile.
  std::function<void(std::uint8_t how)> host;
  /// What is answered at once, whatever an earlier driver did.
  std::uint16_t probe_queue = 0;
  vmm::virtio_device::testing::Request probe;
};

inline constexpr std::size_t kAnyDevices = 13;

/// One of all virtio devices that there are here, by its number: the order of make_any_device().
AnyDevice make_any_device(std::size_t number);
