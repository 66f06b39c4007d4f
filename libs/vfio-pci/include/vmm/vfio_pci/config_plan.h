// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/pci/pci_error.h"

namespace vmm::vfio_pci {

/// What a capability of the device becomes for the guest.
enum class CapabilityUse : std::uint8_t {
  kHidden,    ///< not in the guest's list
  kReadOnly,  ///< as it was when the device was taken
  kPassed,    ///< the device's own registers
  kPower,     ///< kept here: the device stays in D0
  kMsi,       ///< emulated
  kMsix,      ///< emulated
  kExpress,   ///< of an endpoint integrated into the root complex, without a link
  kFlr,       ///< advanced features: only the reset
};

/// A capability of the device, in either list.
struct PlannedCapability {
  std::uint16_t id = 0;                        ///< 8 bits, or 16 of an extended one
  std::uint16_t at = 0;                        ///< its offset, which the guest sees too
  std::uint16_t bytes = 0;                     ///< with its header; 0 when it is hidden
  std::uint8_t version = 0;                    ///< of an extended one
  CapabilityUse use = CapabilityUse::kHidden;  ///< what the guest gets of it

  friend bool operator==(const PlannedCapability&, const PlannedCapability&) = default;
};

/// Which capabilities of a device a guest gets. What is not known to be harmless is hidden: above
/// all vital product data (a guest could change it for good), and what belongs to the host's IOMMU
/// (ATS, PRI, PASID, SR-IOV) or its bridges (AER, ARI, resizable BARs).
struct ConfigPlan {
  std::vector<PlannedCapability> capabilities;  ///< in the order of the device's list
  std::vector<PlannedCapability> extended;      ///< the same of the list from 0x100 on

  /// The first one of that use.
  [[nodiscard]] std::optional<PlannedCapability> find(CapabilityUse use) const;
};

/// Reads the lists of capabilities of a configuration space of 256 or 4096 bytes, which are not
/// trusted.
/// Errors: kBadCapability for a list with a loop or outside of the space, and for a capability that
/// does not fit into it or overlaps the next one.
Result<ConfigPlan, pci::PciError> plan_config(std::span<const std::byte> config);

}  // namespace vmm::vfio_pci
