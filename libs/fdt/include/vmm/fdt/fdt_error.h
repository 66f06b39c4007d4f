// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/error.h"

namespace vmm::fdt {

/// Why a device tree could not be written, read or merged.
enum class FdtError : std::uint8_t {
  kNodeName = 1,         ///< devicetree spec 0.4, 2.2.1
  kPropertyName,         ///< devicetree spec 0.4, 2.2.4.1
  kInvalidString,        ///< a NUL inside a string
  kTooDeep,              ///< more than 64 nested nodes
  kSecondRoot,           ///< a tree has one root node
  kPropertyAfterChild,   ///< properties stand before the children of their node
  kNotInnermost,         ///< a node was changed or closed while a child of it was open
  kUnclosedNode,         ///< finished while a node was open
  kNoRoot,               ///< finished without any node
  kFinished,             ///< used after finish()
  kInvalidPhandle,       ///< 0 or 2^32 - 1
  kDuplicatePhandle,     ///< two nodes with one phandle
  kInvalidReservation,   ///< of 0 bytes, or passing 2^64
  kOverlapReservations,  ///< two memory reservations share an address
  kTooLarge,             ///< over the size budget
  kMisaligned,           ///< a blob that does not start at a multiple of 8
  kBadBlob,              ///< not a valid device tree blob
  kBadOverlay,           ///< not a valid overlay
  kOverlayTarget,        ///< the overlay names a node or label that the tree lacks
};

/// Control-path form of the error.
[[nodiscard]] Error make_error(FdtError error);

}  // namespace vmm::fdt
