// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <charconv>
#include <string_view>
#include <system_error>

namespace vmm::daemon {

/// A whole number in decimal.
template <class T>
[[nodiscard]] bool parse_number(std::string_view text, T& number) {
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && at == end;
}

}  // namespace vmm::daemon
