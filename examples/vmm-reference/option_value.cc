// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "option_value.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "vmm/base/checked.h"

namespace vmm::reference {
namespace {

// Removes the quotes; inside them a doubled quote stands for one.
std::string unquote(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '"') {
      out.push_back(text[i]);
    } else if (quoted && i + 1 < text.size() && text[i + 1] == '"') {
      out.push_back('"');
      ++i;
    } else {
      quoted = !quoted;
    }
  }
  return out;
}

std::string_view without_space_around(std::string_view text) {
  constexpr std::string_view kSpace = " \t\n\v\f\r";
  const std::size_t begin = text.find_first_not_of(kSpace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpace) - begin + 1);
}

bool equals_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return (x >= 'A' && x <= 'Z' ? static_cast<char>(x - 'A' + 'a') : x) == y;
  });
}

std::string names_of(std::span<const OptionKey> keys) {
  std::string out;
  for (const OptionKey& key : keys) {
    if (!key.offered) continue;
    if (!out.empty()) out.append(", ");
    out.append(key.name);
  }
  return out;
}

// Whether a text asks for what is so anyway.
bool asks_for_nothing(const OptionKey& key, std::string_view text) {
  if (key.taken.empty()) return false;
  return text.empty() || equals_ignoring_case(text, key.taken) ||
         (key.taken == "off" && equals_ignoring_case(text, "false"));
}

}  // namespace

std::optional<std::vector<std::string_view>> split_outside_groups(std::string_view text,
                                                                  char separator) {
  std::vector<std::string_view> parts;
  std::size_t begin = 0;
  std::size_t depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '"') {
      quoted = !quoted;
    } else if (quoted) {
      continue;
    } else if (c == '[') {
      ++depth;
    } else if (c == ']') {
      if (depth-- == 0) return std::nullopt;
    } else if (c == separator && depth == 0) {
      parts.push_back(text.substr(begin, i - begin));
      begin = i + 1;
    }
  }
  if (quoted || depth != 0) return std::nullopt;
  parts.push_back(text.substr(begin));
  return parts;
}

std::optional<std::uint64_t> parse_integer(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> parse_bytes(std::string_view text) {
  if (text.empty()) return std::nullopt;
  unsigned shift = 0;
  switch (text.back()) {
    case 'K':
      shift = 10;
      break;
    case 'M':
      shift = 20;
      break;
    case 'G':
      shift = 30;
      break;
    default:
      break;
  }
  if (shift != 0) text.remove_suffix(1);
  const std::optional<std::uint64_t> number = parse_integer(text);
  if (!number) return std::nullopt;
  return checked_mul(*number, std::uint64_t{1} << shift);
}

std::optional<std::vector<std::uint64_t>> parse_integer_list(std::string_view text,
                                                             std::size_t limit) {
  if (text.starts_with('[')) {
    if (!text.ends_with(']')) return std::nullopt;
    text = text.substr(1, text.size() - 2);
  }
  std::vector<std::uint64_t> numbers;
  const auto parts = split_outside_groups(text, ',');
  if (!parts) return std::nullopt;
  for (const std::string_view part : *parts) {
    const std::size_t dash = part.find('-');
    const auto first = parse_integer(part.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_integer(part.substr(dash + 1));
    // A range needs two different ends, the lower one first.
    if (!first || !last || (dash != std::string_view::npos && *first >= *last)) return std::nullopt;
    if (*last - *first >= limit - numbers.size()) return std::nullopt;
    for (std::uint64_t n = *first;; ++n) {
      numbers.push_back(n);
      if (n == *last) break;
    }
  }
  return numbers;
}

Outcome<OptionValue> OptionValue::parse(std::string_view option, std::string_view text,
                                        std::span<const OptionKey> keys) {
  OptionValue value;
  value.option_ = option;
  text = without_space_around(text);
  if (text.empty()) return value;
  const auto parts = split_outside_groups(text, ',');
  if (!parts) return fail(usage(value.option_ + ": unbalanced brackets or quotes"));
  for (const std::string_view part : *parts) {
    const std::size_t equals = part.find('=');
    const std::string_view name = part.substr(0, equals);
    const std::string_view given = equals == std::string_view::npos
                                       ? std::string_view()
                                       : without_space_around(part.substr(equals + 1));
    const auto key = std::ranges::find(keys, name, &OptionKey::name);
    if (key == keys.end()) {
      return fail(value.error(name, "unknown key (known: " + names_of(keys) + ")"));
    }
    if (equals == std::string_view::npos && key->offered && !key->is_word) {
      return fail(value.error(name, "\"=\" and a text are missing"));
    }
    if (key->offered) {
      value.pairs_.insert_or_assign(std::string(name), std::string(given));
    } else if (equals == std::string_view::npos || !asks_for_nothing(*key, unquote(given))) {
      return fail(value.error(name, "not offered yet"));
    }
  }
  return value;
}

bool OptionValue::has(std::string_view key) const { return pairs_.find(key) != pairs_.end(); }

std::optional<std::string> OptionValue::text(std::string_view key) const {
  const auto found = pairs_.find(key);
  if (found == pairs_.end()) return std::nullopt;
  std::string plain = unquote(found->second);
  if (plain.empty()) return std::nullopt;
  return plain;
}

// The whole list may be quoted, or its strings.
Outcome<std::vector<std::string>> OptionValue::texts(std::string_view key) const {
  std::vector<std::string> all;
  const auto plain = text(key);
  if (!plain) return all;
  std::string_view list = pairs_.find(key)->second;
  if (list.starts_with('"') && plain->starts_with('[')) list = *plain;
  if (list.size() >= 2 && list.starts_with('[') && list.ends_with(']')) {
    list = list.substr(1, list.size() - 2);
  }
  const auto parts = split_outside_groups(list, ',');
  if (!parts) return fail(error(key, "\"" + *plain + "\" is not a list [TEXT,...]"));
  if (list.empty()) return all;
  for (const std::string_view part : *parts) all.push_back(unquote(part));
  return all;
}

Outcome<bool> OptionValue::toggle(std::string_view key, bool otherwise) const {
  const auto given = text(key);
  if (!given) return otherwise;
  if (equals_ignoring_case(*given, "on") || equals_ignoring_case(*given, "true")) return true;
  if (equals_ignoring_case(*given, "off") || equals_ignoring_case(*given, "false")) return false;
  return fail(error(key, "\"" + *given + "\" is neither on nor off"));
}

Outcome<std::uint64_t> OptionValue::bytes(std::string_view key, std::uint64_t otherwise) const {
  const auto given = text(key);
  if (!given) return otherwise;
  const auto number = parse_bytes(*given);
  if (!number) {
    return fail(error(key, "\"" + *given + "\" is not a size (a number, then K, M or G)"));
  }
  return *number;
}

Outcome<std::uint64_t> OptionValue::integer(std::string_view key, std::uint64_t otherwise,
                                            std::uint64_t low, std::uint64_t high) const {
  const auto given = text(key);
  if (!given) return otherwise;
  const auto number = parse_integer(*given);
  if (!number || *number < low || *number > high) {
    return fail(error(key, "\"" + *given + "\" is not a number from " + std::to_string(low) +
                               " to " + std::to_string(high)));
  }
  return *number;
}

Outcome<std::size_t> OptionValue::choice(std::string_view key,
                                         std::initializer_list<std::string_view> names,
                                         std::size_t otherwise) const {
  const auto given = text(key);
  if (!given) return otherwise;
  std::string all;
  std::size_t at = 0;
  for (const std::string_view name : names) {
    if (equals_ignoring_case(*given, name)) return at;
    if (at != 0) all += at + 1 == names.size() ? " or " : ", ";
    all += name;
    ++at;
  }
  return fail(error(key, "\"" + *given + "\" is not " + all));
}

Failure OptionValue::error(std::string_view key, std::string_view problem) const {
  return usage(option_ + ": " + std::string(key) + ": " + std::string(problem));
}

}  // namespace vmm::reference
