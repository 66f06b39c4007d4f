// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <span>
#include <string_view>

#include "failure.h"
#include "option_value.h"

namespace vmm::reference {

/// The keys that the value of an option may have: the one table of them, from which the parser,
/// the completion of shells and the page of the differences to cloud-hypervisor are made. Empty for
/// options whose value has none. `option` without its dashes.
[[nodiscard]] std::span<const OptionKey> keys_of(std::string_view option);

/// The pairs of the value of `option`, for example "--disk".
Outcome<OptionValue> parse_value(std::string_view option, std::string_view text);

}  // namespace vmm::reference
