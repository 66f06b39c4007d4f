// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "../failure.h"
#include "../host_devices.h"
#include "irqfd_lines.h"
#include "vmm/arch/aarch64/device_tree.h"
#include "vmm/fdt/fdt_view.h"
#include "vmm/vfio_platform/guest_node.h"
#include "vmm/vfio_platform/platform_device.h"
#include "vmm/vm_device/bus.h"

namespace vmm::reference::aarch64 {

/// Devices of the host's board in the guest's platform window, and their nodes. To be destroyed
/// before the bus and the host's devices.
class PlatformDevices {
 public:
  struct Parts {
    HostDevices& host;  ///< outlives this object, as the next two do
    IrqfdLines& lines;
    vm_device::MmioBus& bus;
    GuestAddress first;           ///< free, up to the end of the platform window
    std::uint32_t first_spi = 0;  ///< free, as are those above
  };

  /// Opens the devices and puts them to their places.
  static Outcome<std::unique_ptr<PlatformDevices>> create(const Parts& parts);

  /// For the guest's device tree; overlays know them as host0, host1, ... in their order.
  [[nodiscard]] std::span<const arch::aarch64::OtherNode> nodes() const { return nodes_; }
  /// Whether the finished tree has all that the devices need.
  Outcome<void> check(const fdt::FdtView& tree) const;

 private:
  struct Device {
    std::string option;  // as the user has it
    std::string label;
    std::string node;
    vfio_platform::NodePlan plan;
    vfio_platform::GuestPlace place;
    std::unique_ptr<vfio_platform::PlatformDevice> device;
  };

  explicit PlatformDevices(const Parts& parts)
      : parts_(parts), next_(parts.first), next_spi_(parts.first_spi) {}
  Outcome<void> add(const HostDeviceConfig& config);
  Outcome<void> place(Device& device);
  Outcome<void> plan(const HostDeviceConfig& config, Device& device) const;

  const Parts parts_;
  GuestAddress next_;
  std::uint32_t next_spi_;
  std::vector<std::unique_ptr<Device>> devices_;
  std::vector<arch::aarch64::OtherNode> nodes_;  // views of the devices
};

}  // namespace vmm::reference::aarch64
