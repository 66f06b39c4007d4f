// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "config.h"
#include "failure.h"

namespace vmm::reference {

/// Runs the VM that `config` describes until the guest powers off or the user ends it.
///
/// A guest that resets itself is started anew in this process, with the same consoles. Call once,
/// from the main thread, before any other thread exists: signals are blocked here for all of them.
Outcome<void> run_vmm(const VmConfig& config);

}  // namespace vmm::reference
