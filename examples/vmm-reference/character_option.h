// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
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

/// CPUs of a host have numbers below it: Linux has no more.
inline constexpr std::uint64_t kHostCpus = 8192;
/// "[INDEX@[CPUS],...]" with indices below `count` and CPUs below kHostCpus; nullopt for other
/// texts.
std::optional<std::vector<CpusConfig::Affinity>> parse_affinity_list(std::string_view text,
                                                                     std::uint32_t count);
/// Of that text, for messages.
[[nodiscard]] std::string affinity_form(std::string_view index);

}  // namespace vmm::reference
