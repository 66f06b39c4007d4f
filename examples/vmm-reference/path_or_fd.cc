// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "path_or_fd.h"

#include "option_keys.h"
#include "option_value.h"

namespace vmm::reference {

Outcome<PathOrFd> parse_path_or_fd(const std::string& option, const std::string& text,
                                   PathOrFdForm form) {
  if (form.bare && !text.empty() && !text.starts_with("path=") && !text.starts_with("fd=")) {
    return PathOrFd{.path = text};
  }
  VMM_TRY(const OptionValue value, parse_value(option, text));
  const auto path = value.text("path");
  const auto fd = value.text("fd");
  if (path.has_value() == fd.has_value()) {
    return fail(value.error("path", "either it or fd is required"));
  }
  if (path) return PathOrFd{.path = *path};
  const auto lowest = static_cast<std::uint64_t>(form.lowest_fd);
  VMM_TRY(const std::uint64_t number, value.integer("fd", 0, lowest, 0x7fff'ffff));
  return PathOrFd{.path = {}, .fd = static_cast<int>(number)};
}

}  // namespace vmm::reference
