// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "config.h"
#include "vmm/base/address_range.h"

namespace vmm::reference {

/// Of configuration space, for the functions of a bus.
inline constexpr std::uint64_t kBusBytes = std::uint64_t{1} << 20;

/// What a machine has for PCI, or one segment of it. Ranges of size 0: none.
struct PciSpace {
  AddressRange ecam;  ///< kBusBytes for each bus
  AddressRange window32;
  AddressRange window64;
};

/// Divides `all` among segments, each window by the segments' weights, in whole MiB (32-bit) and
/// GiB (64-bit), so that BARs as large as the window can be aligned. The one segment of most
/// machines has it all.
/// Each gets configuration space for `buses` buses, or as many as there is room for.
/// Preconditions: `segments` is not empty; a weight is not 0; the ECAM has room for a bus each.
[[nodiscard]] std::vector<PciSpace> share_pci(const PciSpace& all,
                                              std::span<const PciSegmentConfig> segments,
                                              std::uint32_t buses = 1);

}  // namespace vmm::reference
