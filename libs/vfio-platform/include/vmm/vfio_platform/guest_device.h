// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>
#include <string>

#include "vmm/base/result.h"
#include "vmm/fdt/fdt_writer.h"
#include "vmm/vfio_platform/guest_node.h"
#include "vmm/vfio_platform/node_plan.h"
#include "vmm/vfio_platform/platform_device.h"

namespace vmm::vfio_platform {

/// What a device is given in the guest. All of it outlives the device.
struct GuestSide {
  vfio::RegionMapper* mapper = nullptr;  ///< as PlatformDevice::Wiring, like the next one
  LineRouter* lines = nullptr;           ///< nullptr: no interrupts
  vm_device::MmioBus& bus;               ///< where its registers answer
  const Places& places;                  ///< used during the call only
};

/// A device of the host's board in a guest, and what the guest's tree says of it.
struct GuestDevice {
  std::unique_ptr<PlatformDevice> device;  ///< attached
  NodePlan plan;                           ///< what its node says, and what it lacks
  GuestPlace place;                        ///< where its registers and interrupts are
  std::string node;                        ///< the name of the node, with its unit address

  /// Fills the node, of which the same is true as for fill_node().
  void fill(fdt::Node& to) const { fill_node(to, plan, place); }
};

/// All steps at once for a device by its path in sysfs: holds it, plans its node by that of the
/// host, and attaches it where the guest has places. Without a node of the host, the guest's says
/// where the device is and no more. What the plan needs from elsewhere is the caller's to look at.
/// `kernel` is that of `space`.
/// Errors: those of open(), PlatformDevice::create(), read_host_node() and attach().
Result<GuestDevice> give_to_guest(vfio::Kernel& kernel, vfio::AddressSpace& space,
                                  const std::string& path, const GuestSide& guest);

}  // namespace vmm::vfio_platform
