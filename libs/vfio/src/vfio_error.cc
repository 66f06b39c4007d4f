// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio/vfio_error.h"

#include <string_view>

namespace vmm::vfio {
namespace {

std::string_view message(std::int32_t code) {
  switch (static_cast<VfioError>(code)) {
    case VfioError::kBadApiVersion:
      return "the kernel speaks another version of VFIO";
    case VfioError::kNoType1v2:
      return "the kernel has no type 1 version 2 IOMMU";
    case VfioError::kNotViable:
      return "a driver of the host holds a device of the group";
    case VfioError::kNoGroup:
      return "the device has no IOMMU group";
    case VfioError::kNoIommu:
      return "no IOMMU keeps the device from the host's memory";
    case VfioError::kNoCharacterDevice:
      return "the device has no entry in vfio-dev";
    case VfioError::kBadRange:
      return "DMA needs whole pages inside the address space";
    case VfioError::kOverlap:
      return "a part of the range is mapped already";
    case VfioError::kPartialUnmap:
      return "the kernel unmapped less than was mapped";
    case VfioError::kShortInfo:
      return "the kernel's answer is too short";
    case VfioError::kInfoTooLarge:
      return "the kernel's answer is too long";
    case VfioError::kBadCapability:
      return "a chain of capabilities is broken";
    case VfioError::kBadArea:
      return "an area that can be mapped is not in its region";
    case VfioError::kNoRegion:
      return "the device has no such region";
    case VfioError::kOutsideRegion:
      return "the bytes are not all in the region";
    case VfioError::kNotReadable:
      return "the region cannot be read";
    case VfioError::kNotWritable:
      return "the region cannot be written";
    case VfioError::kNotMappable:
      return "these bytes of the region cannot be mapped";
    case VfioError::kNoInterrupt:
      return "the device has no such interrupts";
    case VfioError::kNoDescriptors:
      return "no descriptors are given";
    case VfioError::kNoEventfd:
      return "the interrupt does not signal descriptors";
    case VfioError::kNotMaskable:
      return "the interrupt cannot be masked";
    case VfioError::kNoReset:
      return "the device cannot be reset";
    case VfioError::kForeignDevice:
      return "the reset would hit a device that is not held here";
    case VfioError::kTooLarge:
      return "more than can be asked for at once";
  }
  return "unknown VFIO error";
}

constexpr ErrorDomain kVfioDomain{"vfio", &message};

}  // namespace

Error make_error(VfioError error) {
  return {kVfioDomain, static_cast<std::int32_t>(error), "vfio"};
}

}  // namespace vmm::vfio
