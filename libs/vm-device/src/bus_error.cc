// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_device/bus_error.h"

#include <string_view>

namespace vmm::vm_device {
namespace {

std::string_view access_message(std::int32_t code) {
  switch (static_cast<AccessError>(code)) {
    case AccessError::kNoDevice:
      return "no device at this address";
    case AccessError::kCrossesEnd:
      return "the access passes the end of the device";
    case AccessError::kEmpty:
      return "an access of no bytes";
  }
  return "unknown bus access error";
}

std::string_view bus_message(std::int32_t code) {
  switch (static_cast<BusError>(code)) {
    case BusError::kNullDevice:
      return "no device given";
    case BusError::kEmptyRange:
      return "the address range is empty";
    case BusError::kOutOfSpace:
      return "the address range passes the end of the address space";
    case BusError::kOverlap:
      return "the address range overlaps another device";
    case BusError::kNotFound:
      return "no device at this address";
  }
  return "unknown bus error";
}

constexpr ErrorDomain kAccessDomain{"bus access", &access_message};
constexpr ErrorDomain kBusDomain{"bus", &bus_message};

}  // namespace

Error make_error(AccessError error) {
  return {kAccessDomain, static_cast<std::int32_t>(error), "bus access"};
}

Error make_error(BusError error) { return {kBusDomain, static_cast<std::int32_t>(error), "bus"}; }

}  // namespace vmm::vm_device
