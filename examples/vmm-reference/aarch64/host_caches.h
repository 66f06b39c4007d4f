// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <string>
#include <vector>

#include "vmm/arch/aarch64/device_tree.h"

namespace vmm::reference::aarch64 {

/// The caches of the host's CPU 0, for guests to tune themselves by: the first two levels as each
/// vCPU's own, higher ones as shared by all. What the host does not tell is left out: CPUs alone do
/// not know their caches' sizes, so many hosts (without ACPI, or cache nodes in their device tree)
/// tell nothing.
///
/// `folder` is /sys/devices/system/cpu/cpu0/cache.
[[nodiscard]] std::vector<arch::aarch64::Cache> host_caches(const std::string& folder);

}  // namespace vmm::reference::aarch64
