// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What the options of devices have in common.

#include <cstdint>
#include <string>
#include <string_view>

#include "config.h"
#include "failure.h"
#include "option_value.h"

namespace vmm::reference {

Outcome<DeviceConfig> parse_device(const OptionValue& value);
/// queue_size=: one that the driver could use.
Outcome<std::uint16_t> parse_queue_size(const OptionValue& value, std::uint16_t otherwise);
Outcome<std::string> required(const OptionValue& value, std::string_view key);

}  // namespace vmm::reference
