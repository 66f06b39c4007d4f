// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "json_text.h"

#include <boost/json/parse.hpp>

namespace vmm::reference {

namespace json = boost::json;

namespace {

constexpr std::size_t kMaxDepth = 16;

}  // namespace

Outcome<json::object> parse_json_object(std::string_view text) {
  json::parse_options options;
  options.max_depth = kMaxDepth;
  json::error_code error;
  json::value value = json::parse(text, error, {}, options);
  if (error) return fail(usage("malformed JSON: " + error.message()));
  if (!value.is_object()) return fail(usage("malformed JSON: not an object"));
  return std::move(value.get_object());
}

const json::value* find_member(const json::object& object, std::string_view name) {
  const json::object* level = &object;
  for (;;) {
    const std::size_t slash = name.find('/');
    const json::value* member = level->if_contains(name.substr(0, slash));
    if (member == nullptr || member->is_null()) return nullptr;
    if (slash == std::string_view::npos) return member;
    level = member->if_object();
    if (level == nullptr) return nullptr;
    name.remove_prefix(slash + 1);
  }
}

std::optional<std::uint64_t> whole_number(const json::value& value) {
  if (const auto* number = value.if_uint64()) return *number;
  const auto* number = value.if_int64();
  if (number == nullptr || *number < 0) return std::nullopt;
  return static_cast<std::uint64_t>(*number);
}

std::optional<std::string> plain_string(const json::value& value) {
  const auto* text = value.if_string();
  if (text == nullptr || text->find('\0') != json::string::npos) return std::nullopt;
  return std::string(text->data(), text->size());
}

}  // namespace vmm::reference
