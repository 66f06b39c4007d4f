// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config.h"
#include "failure.h"
#include "option_value.h"

namespace vmm::reference {

/// Which of off, null, pty, tty and file= a value names.
Outcome<ConsoleConfig> parse_character_device(const OptionValue& value);

/// "[INDEX@[CPUS],...]" with indices below `count`; nullopt for other texts.
std::optional<std::vector<CpusConfig::Affinity>> parse_affinity_list(std::string_view text,
                                                                     std::uint32_t count);

}  // namespace vmm::reference
