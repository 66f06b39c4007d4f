// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The grammar of option values, as people know it from cloud-hypervisor:
//
//   value  := [ pair *( "," pair ) ]
//   pair   := key "=" text | mode                      mode: off, null, pty, tty
//   text   := any characters; a comma inside [...] or inside "..." does not split
//   quotes := '"' toggles; inside them "" is one literal quote
//   white space around a value, and around a text outside its quotes, is not part of it
//   toggle := on | off | true | false | (empty)       case does not matter
//   bytes  := integer [K|M|G]                          powers of 1024
//
// A key given twice keeps its last text; an empty text equals not being given.

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "failure.h"

namespace vmm::reference {

/// A key that an option's value may have.
struct OptionKey {
  std::string_view name;
  bool offered = true;  ///< false: of the grammar, but refused, as this VMM does not offer it yet
  /// Of a key that is not offered: the text that is taken nevertheless, as it asks for what is so
  /// anyway. Empty: none.
  std::string_view taken = "";
  bool is_word = false;  ///< may stand by itself, without "="
};

/// The pairs of one option's value.
class OptionValue {
 public:
  /// Parses `text`, the value of `option` (for example "--memory").
  ///
  /// Only `keys` may be used. Each message names the option and the key.
  static Outcome<OptionValue> parse(std::string_view option, std::string_view text,
                                    std::span<const OptionKey> keys);

  /// Whether the key was given, with or without a text.
  [[nodiscard]] bool has(std::string_view key) const;
  /// The text of a key, without its quotes; nullopt when it was not given or is empty.
  [[nodiscard]] std::optional<std::string> text(std::string_view key) const;
  /// The strings of a list, "[a,b]" or "a,b"; within quotes or brackets a comma is part of one.
  /// Empty when the key was not given or is empty.
  [[nodiscard]] Outcome<std::vector<std::string>> texts(std::string_view key) const;
  [[nodiscard]] Outcome<bool> toggle(std::string_view key, bool otherwise) const;
  [[nodiscard]] Outcome<std::uint64_t> bytes(std::string_view key, std::uint64_t otherwise) const;
  /// An integer within [low, high].
  [[nodiscard]] Outcome<std::uint64_t> integer(std::string_view key, std::uint64_t otherwise,
                                               std::uint64_t low, std::uint64_t high) const;

  /// Which of `names`, in small letters, the text is, whatever the case of its own; counted from 0.
  [[nodiscard]] Outcome<std::size_t> choice(std::string_view key,
                                            std::initializer_list<std::string_view> names,
                                            std::size_t otherwise) const;

  /// A usage failure that names this option and `key`.
  [[nodiscard]] Failure error(std::string_view key, std::string_view problem) const;

 private:
  std::string option_;
  std::map<std::string, std::string, std::less<>> pairs_;  // with their quotes
};

/// Splits at `separator` outside brackets and quotes. nullopt when those are not balanced.
std::optional<std::vector<std::string_view>> split_outside_groups(std::string_view text,
                                                                  char separator);
/// A whole decimal number and nothing else.
std::optional<std::uint64_t> parse_integer(std::string_view text);
/// "512M": a number with an optional K, M or G.
std::optional<std::uint64_t> parse_bytes(std::string_view text);
/// "[1,3-5]" or "1,3-5": at most `limit` numbers.
std::optional<std::vector<std::uint64_t>> parse_integer_list(std::string_view text,
                                                             std::size_t limit);

}  // namespace vmm::reference
