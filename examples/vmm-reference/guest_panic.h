// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "config.h"
#include "failure.h"
#include "machine.h"
#include "pci_board.h"

namespace vmm::reference {

/// With --pvpanic, puts the device into the lowest slot that is left; what the guest tells reaches
/// Host::on_guest_panic.
Outcome<void> add_pvpanic(const VmConfig& config, const Host& host, PciBoard& board);

}  // namespace vmm::reference
