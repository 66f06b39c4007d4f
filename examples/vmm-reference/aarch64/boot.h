// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "../boot.h"
#include "platform_devices.h"
#include "vmm/arch/aarch64/device_tree.h"

namespace vmm::reference::aarch64 {

/// What the device tree says of KVM's part of the machine.
struct KvmParts {
  arch::aarch64::GicVersion gic;
  bool its;
  bool pmu;
  bool serial;
  std::span<const arch::aarch64::VirtioMmio> virtio_mmio;
  std::span<const arch::aarch64::PciHost> pci;
  const PlatformDevices* platform;  ///< nullptr: none
};

/// Puts the device tree to the start of RAM: the VMM's own with the user's overlay merged into it,
/// or the user's as it is.
Outcome<void> write_device_tree(const VmConfig& config, const GuestImage& image,
                                const KvmParts& parts);

}  // namespace vmm::reference::aarch64
