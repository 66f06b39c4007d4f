// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <array>

#include "vmm/sys_util/random.h"
#include "vmm/virtio_device/request_device.h"

/// An entropy device (virtio 1.3, 5.4): fills each request with random bytes, up to 256 of them.
class Entropy final : public vmm::virtio_device::RequestDevice {
 public:
  Entropy()
      : RequestDevice({.type = vmm::virtio_device::DeviceType::kEntropy, .queue_sizes = {64}}) {}

 protected:
  std::uint32_t answer(std::uint16_t, vmm::virtio_queue::Chain& request) override {
    std::array<std::byte, 256> bytes;
    vmm::virtio_queue::Writer writer = request.writer();
    const auto some = std::span(bytes).first(std::min<std::size_t>(256, writer.remaining()));
    if (!vmm::sys_util::fill_random(some)) return 0;
    return static_cast<std::uint32_t>(writer.write(some));
  }
};
