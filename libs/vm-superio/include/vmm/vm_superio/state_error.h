// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/error.h"

namespace vmm::vm_superio {

/// Why a saved state was refused; the device is unchanged then.
enum class StateError : std::uint8_t {
  kTooMuchInput,  ///< more queued input bytes than the device's FIFO holds
  kReservedBits,  ///< a register has bits set that the device does not implement
  kInconsistent,  ///< fields contradict each other
};

/// Control-path form of the error.
Error make_error(StateError error);

}  // namespace vmm::vm_superio
