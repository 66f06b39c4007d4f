// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "sandbox_options.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "option_keys.h"
#include "option_value.h"

namespace vmm::reference {
namespace {

constexpr std::array kModes{
    std::pair("true", SeccompMode::kTrap), std::pair("false", SeccompMode::kOff),
    std::pair("log", SeccompMode::kLog), std::pair("errno", SeccompMode::kErrno)};

}  // namespace

Outcome<SeccompMode> parse_seccomp(const std::string& text) {
  for (const auto& [name, mode] : kModes) {
    if (text == name) return mode;
  }
  return fail(usage("--seccomp: " + text + ": not one of true, false, log and errno"));
}

const char* name_of(SeccompMode mode) {
  return std::ranges::find(kModes, mode, [](const auto& row) { return row.second; })->first;
}

Outcome<LandlockRule> parse_landlock_rule(const std::string& text) {
  VMM_TRY(const OptionValue value, parse_value("--landlock-rules", text));
  const auto path = value.text("path");
  if (!path || path->empty()) return fail(value.error("path", "required"));
  const std::string access = value.text("access").value_or("");
  if (access != "r" && access != "w" && access != "rw") {
    return fail(value.error("access", "not one of r, w and rw"));
  }
  return LandlockRule{.path = *path,
                      .read = access.find('r') != std::string::npos,
                      .write = access.find('w') != std::string::npos};
}

Outcome<void> check_landlock_rule(const LandlockRule& rule) {
  if (::access(rule.path.c_str(), F_OK) == 0) return {};
  const Error error = Error::from_errno("access");
  return fail(usage("--landlock-rules: path=" + rule.path + ": " + to_string(error)));
}

}  // namespace vmm::reference
