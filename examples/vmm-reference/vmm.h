// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "config.h"
#include "failure.h"
#include "path_or_fd.h"
#include "sandbox_options.h"

namespace vmm::reference {

/// What a VMM process is to do.
struct VmmOptions {
  std::optional<VmConfig> vm;  ///< to boot at once; nullopt: what the API's clients say
  PathOrFd api_socket;         ///< where the API is served, if anywhere
  PathOrFd event_monitor;      ///< where events are told, if anywhere
  bool no_shutdown = false;    ///< the guest's power-off leaves the VMM running
  std::string version;         ///< for API clients
  SeccompMode seccomp = SeccompMode::kTrap;
  bool landlock = false;  ///< for the VMs of API clients as well
  std::vector<LandlockRule> landlock_rules;
};

/// Runs VMs, one at a time, until the guest powers off or somebody ends the VMM.
///
/// A guest that resets itself is started anew in this process, with the same consoles. Call once,
/// from the main thread, before any other thread exists: signals are blocked here for all of them.
Outcome<void> run_vmm(const VmmOptions& options);

}  // namespace vmm::reference
