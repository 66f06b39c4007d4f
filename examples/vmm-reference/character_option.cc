// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "character_option.h"

#include <algorithm>
#include <utility>

namespace vmm::reference {

Outcome<ConsoleConfig> parse_character_device(const OptionValue& value) {
  using Mode = ConsoleConfig::Mode;
  ConsoleConfig console;
  int given = 0;
  for (const auto& [key, mode] :
       {std::pair("off", Mode::kOff), std::pair("null", Mode::kNull), std::pair("pty", Mode::kPty),
        std::pair("tty", Mode::kTty), std::pair("file", Mode::kFile),
        std::pair("socket", Mode::kSocket)}) {
    if (!value.has(key)) continue;
    console.mode = mode;
    ++given;
  }
  if (given != 1) {
    return fail(value.error("mode", "give one of off, null, pty, tty, file and socket"));
  }
  if (console.mode == Mode::kFile || console.mode == Mode::kSocket) {
    const char* const key = console.mode == Mode::kFile ? "file" : "socket";
    const auto path = value.text(key);
    if (!path) return fail(value.error(key, "the path is missing"));
    console.path = *path;
  }
  VMM_TRY(console.escape, value.toggle("escape", false));
  if (console.escape && console.mode != Mode::kTty) {
    return fail(value.error("escape", "only a tty has one"));
  }
  return console;
}

std::string affinity_form(std::string_view index) {
  return '[' + std::string(index) + "@[CPUS],...], with CPUs of the host below " +
         std::to_string(kHostCpus);
}

std::optional<std::vector<CpusConfig::Affinity>> parse_affinity_list(std::string_view text,
                                                                     std::uint32_t count) {
  if (text.starts_with('[') && text.ends_with(']')) text = text.substr(1, text.size() - 2);
  const auto parts = split_outside_groups(text, ',');
  if (!parts) return std::nullopt;
  std::vector<CpusConfig::Affinity> all;
  for (const std::string_view part : *parts) {
    const std::size_t at = part.find('@');
    if (at == std::string_view::npos) return std::nullopt;
    const auto index = parse_integer(part.substr(0, at));
    const auto cpus = parse_integer_list(part.substr(at + 1), kHostCpus);
    if (!index || *index >= count || !cpus) return std::nullopt;
    if (std::ranges::any_of(*cpus, [](std::uint64_t cpu) { return cpu >= kHostCpus; })) {
      return std::nullopt;
    }
    all.push_back({.vcpu = static_cast<std::uint32_t>(*index), .host_cpus = *cpus});
  }
  return all;
}

}  // namespace vmm::reference
