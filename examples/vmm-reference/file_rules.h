// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <string>
#include <vector>

#include "config.h"
#include "failure.h"
#include "vmm/sandbox/landlock.h"

namespace vmm::reference {

/// The files that a VM of this configuration needs, once its consoles are open, and those that its
/// own rules name. Sockets that are connected to are not among them: Landlock lets that be.
[[nodiscard]] std::vector<LandlockRule> files_of(const VmConfig& config);

/// Rules for the files of `config`; they count for threads that enforce them. Runs where files can
/// be opened. Failures: the kernel's Landlock is too old, or there is none; a file is not there.
/// `api_socket`: a path that is removed at the end of the process; empty: none.
Outcome<sandbox::Landlock> make_file_rules(const VmConfig& config, const std::string& api_socket);

}  // namespace vmm::reference
