// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/pci/pci_error.h"

#include <string_view>

namespace vmm::pci {
namespace {

std::string_view message(std::int32_t code) {
  switch (static_cast<PciError>(code)) {
    case PciError::kBadWindow:
      return "a window for BARs is empty, too large, or overlaps another one";
    case PciError::kBadBar:
      return "no BAR can have this index, size or alignment";
    case PciError::kNoAddress:
      return "no window has room for the BAR";
    case PciError::kNoCapabilityRoom:
      return "no room for the capability in configuration space";
    case PciError::kBadSlot:
      return "there are slots 0 to 31 and functions 0 to 7";
    case PciError::kSlotTaken:
      return "the slot is taken";
    case PciError::kNoFreeSlot:
      return "all 32 slots are taken";
    case PciError::kNoDevice:
      return "no device in this slot";
    case PciError::kAttached:
      return "the function is part of a segment already";
    case PciError::kBadVectors:
      return "MSI-X has 1 to 2048 vectors";
    case PciError::kBadCapability:
      return "a malformed list of capabilities";
    case PciError::kBadState:
      return "not a state that such a function can have";
  }
  return "unknown error";
}

constexpr ErrorDomain kDomain{"pci", &message};

}  // namespace

Error make_error(PciError error) { return {kDomain, static_cast<std::int32_t>(error), "PCI"}; }

}  // namespace vmm::pci
