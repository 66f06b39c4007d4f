// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_superio/state_error.h"

#include <string_view>

namespace vmm::vm_superio {
namespace {

std::string_view message(std::int32_t code) {
  switch (static_cast<StateError>(code)) {
    case StateError::kTooMuchInput:
      return "more queued input than the device holds";
    case StateError::kReservedBits:
      return "a register has bits set that the device does not implement";
    case StateError::kInconsistent:
      return "the saved registers contradict each other";
  }
  return "unknown device state error";
}

constexpr ErrorDomain kDomain{"device state", &message};

}  // namespace

Error make_error(StateError error) {
  return {kDomain, static_cast<std::int32_t>(error), "restore device"};
}

}  // namespace vmm::vm_superio
