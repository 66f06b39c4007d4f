// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <boost/json/value.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "failure.h"

namespace vmm::reference {

/// Parses one JSON text from outside: of bounded depth, valid UTF-8, nothing behind it. Failures
/// are of kind kUsage.
Outcome<boost::json::object> parse_json_object(std::string_view text);

/// The member `name` unless it is absent or null; the same for a member of a member: "a/b/c".
[[nodiscard]] const boost::json::value* find_member(const boost::json::object& object,
                                                    std::string_view name);
/// A whole number that is not negative, and nothing else.
[[nodiscard]] std::optional<std::uint64_t> whole_number(const boost::json::value& value);
/// A string without a NUL, and nothing else.
[[nodiscard]] std::optional<std::string> plain_string(const boost::json::value& value);

}  // namespace vmm::reference
