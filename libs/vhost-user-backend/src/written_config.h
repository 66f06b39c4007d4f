// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "vmm/virtio_device/virtio_device.h"

namespace vmm::vhost_user_backend {

/// What a driver wrote to the configuration space, for a device that forgot it with a reset.
class WrittenConfig {
 public:
  /// Keeps the last write of each place, of at most kMax places: drivers write one or two fields.
  void note(std::uint32_t offset, std::span<const std::byte> data) {
    const auto same = std::ranges::find_if(writes_, [&](const Write& write) {
      return write.offset == offset && write.data.size() == data.size();
    });
    if (same != writes_.end()) writes_.erase(same);
    if (writes_.size() < kMax) writes_.push_back({offset, {data.begin(), data.end()}});
  }
  void replay(virtio_device::VirtioDevice& device) const {
    for (const Write& write : writes_) device.write_config(write.offset, write.data);
  }
  void clear() { writes_.clear(); }

 private:
  static constexpr std::size_t kMax = 16;
  struct Write {
    std::uint32_t offset;
    std::vector<std::byte> data;
  };

  std::vector<Write> writes_;  // in their order
};

}  // namespace vmm::vhost_user_backend
