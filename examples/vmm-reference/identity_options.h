// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Who the machine says it is: keys of --platform.

#include "config.h"
#include "failure.h"
#include "option_value.h"
#include "vmm/smbios/smbios.h"

namespace vmm::reference {

/// The identity that a value of --platform has. Failures: no UUID; more than the tables hold.
Outcome<IdentityConfig> parse_identity(const OptionValue& value);

/// What the tables say. Borrows `config`.
[[nodiscard]] smbios::Identity smbios_identity(const IdentityConfig& config);

}  // namespace vmm::reference
