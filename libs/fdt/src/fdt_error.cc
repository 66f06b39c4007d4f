// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/fdt/fdt_error.h"

namespace vmm::fdt {
namespace {

std::string_view message(std::int32_t code) {
  switch (static_cast<FdtError>(code)) {
    case FdtError::kNodeName:
      return "invalid node name";
    case FdtError::kPropertyName:
      return "invalid property name";
    case FdtError::kInvalidString:
      return "a string with a NUL inside";
    case FdtError::kTooDeep:
      return "more than 64 nested nodes";
    case FdtError::kSecondRoot:
      return "a second root node";
    case FdtError::kPropertyAfterChild:
      return "a property behind a child of its node";
    case FdtError::kNotInnermost:
      return "a node was changed or closed while a child of it was open";
    case FdtError::kUnclosedNode:
      return "finished while a node was open";
    case FdtError::kNoRoot:
      return "finished without a root node";
    case FdtError::kFinished:
      return "used after it was finished";
    case FdtError::kInvalidPhandle:
      return "invalid phandle";
    case FdtError::kDuplicatePhandle:
      return "two nodes with one phandle";
    case FdtError::kInvalidReservation:
      return "invalid memory reservation";
    case FdtError::kOverlapReservations:
      return "memory reservations overlap";
    case FdtError::kTooLarge:
      return "larger than allowed";
    case FdtError::kMisaligned:
      return "the blob is not aligned to 8 bytes";
    case FdtError::kBadBlob:
      return "not a valid device tree blob";
    case FdtError::kBadOverlay:
      return "not a valid device tree overlay";
    case FdtError::kOverlayTarget:
      return "the overlay refers to something that the tree lacks";
  }
  return "unknown device tree error";
}

constexpr ErrorDomain kFdtDomain{"fdt", &message};

}  // namespace

Error make_error(FdtError error) {
  return {kFdtDomain, static_cast<std::int32_t>(error), "device tree"};
}

}  // namespace vmm::fdt
