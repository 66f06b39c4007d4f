// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <string>
#include <vector>

namespace vmm::reference {

/// A device of a booted VM.
struct PlacedDevice {
  std::string id;
  std::string bdf;      ///< where the guest sees it: 0000:00:06.0
  bool virtio = false;  ///< it is one behind a PCI transport
};

/// What vm.info shows as device_tree: an object of nodes by their ids. A virtio device is the child
/// of its transport, "_virtio-pci-ID", which has the place. Resources are not told.
[[nodiscard]] std::string device_tree_json(const std::vector<PlacedDevice>& devices);

}  // namespace vmm::reference
