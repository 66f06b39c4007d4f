// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <string>

#include "config.h"
#include "failure.h"

namespace vmm::reference {

/// --device: a device of the host for the guest.
Outcome<void> parse_host_device(const std::string& text, VmConfig& vm);
/// --user-device: a device of another process.
Outcome<void> parse_user_device(const std::string& text, VmConfig& vm);
/// What all of those devices do not go together with.
Outcome<void> check_host_devices(const VmConfig& vm);

}  // namespace vmm::reference
