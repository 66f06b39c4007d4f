// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "character_option.h"

#include <utility>

namespace vmm::reference {

Outcome<ConsoleConfig> parse_character_device(const OptionValue& value) {
  using Mode = ConsoleConfig::Mode;
  ConsoleConfig console;
  int given = 0;
  for (const auto& [key, mode] :
       {std::pair("off", Mode::kOff), std::pair("null", Mode::kNull), std::pair("pty", Mode::kPty),
        std::pair("tty", Mode::kTty), std::pair("file", Mode::kFile)}) {
    if (!value.has(key)) continue;
    console.mode = mode;
    ++given;
  }
  if (given > 1) return fail(value.error("mode", "give one of off, null, pty, tty and file"));
  if (console.mode == Mode::kFile) {
    const auto path = value.text("file");
    if (!path) return fail(value.error("file", "the path is missing"));
    console.path = *path;
  }
  return console;
}

std::optional<std::vector<CpusConfig::Affinity>> parse_affinity_list(std::string_view text,
                                                                     std::uint32_t count) {
  constexpr std::size_t kMostCpus = 4096;
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  const auto parts = split_outside_groups(text, ',');
  if (!parts) return std::nullopt;
  std::vector<CpusConfig::Affinity> all;
  for (const std::string_view part : *parts) {
    const std::size_t at = part.find('@');
    if (at == std::string_view::npos) return std::nullopt;
    const auto index = parse_integer(part.substr(0, at));
    const auto cpus = parse_integer_list(part.substr(at + 1), kMostCpus);
    if (!index || *index >= count || !cpus) return std::nullopt;
    all.push_back({.vcpu = static_cast<std::uint32_t>(*index), .host_cpus = *cpus});
  }
  return all;
}

}  // namespace vmm::reference
