// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "config.h"
#include "failure.h"
#include "option_value.h"

namespace vmm::reference {

/// Whether the VM has a virtual IOMMU: as a device, or a whole PCI segment, is behind it.
[[nodiscard]] bool has_iommu(const VmConfig& vm);
/// The keys of --platform that are about it; after pci_segments was set.
Outcome<void> parse_iommu_platform(const OptionValue& value, VmConfig& vm);
/// Devices that cannot be behind it, and those that have to.
Outcome<void> check_iommu(const VmConfig& vm);

}  // namespace vmm::reference
