// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/vfio/kernel.h"

// What sysfs says of devices: their bus, and which of them an IOMMU cannot tell apart.

namespace vmm::vfio {

/// A device of an IOMMU group.
struct GroupMember {
  std::string name;    ///< 0000:00:06.0, a003e00.dma
  std::string driver;  ///< that holds it; empty: none

  /// Whether it is one of VFIO's drivers, of which each has that in its name.
  [[nodiscard]] bool is_held() const { return driver.find("vfio") != std::string::npos; }
};

/// Groups with more devices than this are refused.
inline constexpr std::size_t kMaxGroupMembers = 1024;

/// The number of the IOMMU group of the device at a path of sysfs.
/// Errors: kNoGroup; those of Kernel::resolve().
Result<std::uint32_t> group_number(Kernel& kernel, const std::string& sysfs_path);

/// All devices of the IOMMU group of that device, itself among them, sorted by name.
/// Errors: as before; kTooLarge; those of Kernel::list().
Result<std::vector<GroupMember>> group_members(Kernel& kernel, const std::string& sysfs_path);

/// What bus the device at a path of sysfs is on: pci, platform, amba.
/// Errors: those of Kernel::resolve().
Result<std::string> bus_of(Kernel& kernel, const std::string& sysfs_path);

}  // namespace vmm::vfio
