// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vhost/vhost_error.h"

#include <string_view>

namespace vmm::vhost {
namespace {

std::string_view message(std::int32_t code) {
  switch (static_cast<VhostError>(code)) {
    case VhostError::kNoRegions:
      return "a vhost device needs one region of memory at least";
    case VhostError::kTooManyRegions:
      return "more regions of memory than a vhost device takes";
    case VhostError::kEmptyRegion:
      return "a region of memory has no bytes";
    case VhostError::kRegionOverflow:
      return "a region of memory passes the end of the address space";
    case VhostError::kUnsorted:
      return "regions of memory do not ascend, or overlap";
    case VhostError::kBadSize:
      return "the ring cannot have this size";
    case VhostError::kMisaligned:
      return "a ring address is not aligned";
    case VhostError::kRingNotMapped:
      return "a ring is not in guest memory";
    case VhostError::kBadMessage:
      return "an IOTLB message makes no sense";
    case VhostError::kBadMapping:
      return "a mapping without bytes or memory, or one that passes the end of the address space";
    case VhostError::kNoAddressSpaces:
      return "the device knows one address space only";
  }
  return "unknown vhost error";
}

constexpr ErrorDomain kVhostDomain{"vhost", &message};

}  // namespace

Error make_error(VhostError error) {
  return {kVhostDomain, static_cast<std::int32_t>(error), "vhost"};
}

}  // namespace vmm::vhost
