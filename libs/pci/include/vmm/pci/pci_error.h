// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/error.h"

namespace vmm::pci {

/// Why a segment or a function could not be set up as asked.
enum class PciError : std::uint8_t {
  kBadWindow,         ///< a window is empty, passes its address space, or overlaps another one
  kBadBar,            ///< an index, size or alignment that no BAR can have, or an index in use
  kNoAddress,         ///< no window has room for the BAR
  kNoCapabilityRoom,  ///< the capability does not fit into configuration space
  kBadSlot,           ///< a slot beyond 31 or a function beyond 7
  kSlotTaken,         ///< the slot or function has a device, or is reserved
  kNoFreeSlot,        ///< all 32 slots are taken
  kNoDevice,          ///< no device in that slot
  kAttached,          ///< the function is already part of a segment
  kBadVectors,        ///< no vectors, or more than the 2048 of an MSI-X table
  kBadCapability,     ///< a list of capabilities that is malformed: a loop, or outside its space
  kBadState,          ///< a saved state that no sequence of accesses leads to
};

/// Control-path form of the error.
Error make_error(PciError error);

}  // namespace vmm::pci
