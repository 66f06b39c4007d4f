// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "vmm/vfio/device.h"
#include "vmm/vfio/testing/scripted_kernel.h"

namespace vmm::vfio::testing {

/// A PCI device as vfio-pci has them, for a ScriptedKernel: BAR 0 of four pages, which can be
/// mapped with the MSI-X table; a ROM of a page; configuration space; INTx, 4 of MSI, 8 of MSI-X.
/// `config_bytes`: 256 or 4096. The test adds what else it wants.
inline ScriptedDevice scripted_pci(std::string path, std::uint32_t group, std::string entry,
                                   std::uint64_t config_bytes = 4096) {
  constexpr std::uint64_t kPageBytes = 4096;
  ScriptedDevice device;
  device.path = std::move(path);
  device.group = group;
  device.entry = std::move(entry);
  device.regions.resize(9);
  device.regions[0].bytes = 4 * kPageBytes;
  device.regions[0].mappable = true;
  device.regions[0].msix_mappable = true;
  device.regions[kRomRegion].bytes = kPageBytes;
  device.regions[kRomRegion].writable = false;
  device.regions[kConfigRegion].bytes = config_bytes;
  device.irqs.resize(5);
  device.irqs[0] = {
      .count = 1, .eventfd = true, .maskable = true, .automasked = true, .fixed_size = false};
  device.irqs[1] = {
      .count = 4, .eventfd = true, .maskable = false, .automasked = false, .fixed_size = true};
  device.irqs[2] = device.irqs[1];
  device.irqs[2].count = 8;
  return device;
}

}  // namespace vmm::vfio::testing
