// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/error.h"

namespace vmm::vfio {

/// What this library itself finds wrong; everything else is an errno of the kernel.
enum class VfioError : std::uint8_t {
  // Opening.
  kBadApiVersion,      ///< the kernel's VFIO is not version 0
  kNoType1v2,          ///< it has no IOMMU of type 1 version 2
  kNotViable,          ///< a device of the group has a driver of the host
  kNoGroup,            ///< the device has no IOMMU group, or sysfs says nothing sensible about it
  kNoIommu,            ///< no IOMMU is in front of the device, and none was asked to be missing
  kNoCharacterDevice,  ///< the device has no vfio-dev entry, as iommufd needs

  // DMA.
  kBadRange,      ///< empty, not of whole pages, or past the end of the address space
  kOverlap,       ///< a part of it is mapped already
  kPartialUnmap,  ///< the kernel has unmapped less than was mapped

  // Answers of the kernel.
  kShortInfo,      ///< shorter than it has to be
  kInfoTooLarge,   ///< longer than 64 KiB
  kBadCapability,  ///< a capability chain that leaves its bytes, or does not end
  kBadArea,        ///< an area of a region that is not inside it

  // Regions and interrupts.
  kNoRegion,       ///< the region has no bytes
  kOutsideRegion,  ///< bytes that are not all in the region
  kNotReadable,    ///< the region cannot be read
  kNotWritable,    ///< the region cannot be written
  kNotMappable,    ///< these bytes cannot be mapped
  kNoInterrupt,    ///< no interrupt of this kind, or not as many
  kNoDescriptors,  ///< an empty list of descriptors
  kNoEventfd,      ///< the interrupt does not signal descriptors
  kNotMaskable,    ///< the interrupt cannot be masked

  // Resets, features.
  kNoReset,        ///< the device offers no reset
  kForeignDevice,  ///< the reset would hit a device that is not ours
  kTooLarge,       ///< more than this library asks the kernel for at once
};

/// Control-path form of the error.
[[nodiscard]] Error make_error(VfioError error);

}  // namespace vmm::vfio
