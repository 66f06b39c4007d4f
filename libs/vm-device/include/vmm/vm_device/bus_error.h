// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/error.h"

namespace vmm::vm_device {

/// Why an access reached no device. A guest causes these at will; a VMM counts them.
enum class AccessError : std::uint8_t {
  kNoDevice,    ///< no range contains the first byte
  kCrossesEnd,  ///< the access begins in a range and passes its end
  kEmpty,       ///< an access of no bytes
};

/// Why a change of the bus was refused.
enum class BusError : std::uint8_t {
  kNullDevice,  ///< no device given
  kEmptyRange,  ///< a range of no bytes
  kOutOfSpace,  ///< the range passes the end of the address space
  kOverlap,     ///< the range overlaps another one
  kNotFound,    ///< no range at that address
};

/// @{
/// Control-path form of the error.
Error make_error(AccessError error);
Error make_error(BusError error);
/// @}

}  // namespace vmm::vm_device
