// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Reads what was built, by the letter of the specification.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "vmm/base/endian.h"
#include "vmm/smbios/smbios.h"

namespace vmm::smbios {

struct Structure {
  std::uint8_t type = 0;
  std::uint16_t handle = 0;
  std::vector<std::byte> formatted;  ///< with the header
  std::vector<std::string> strings;

  /// The string whose number stands at `offset`; empty: none.
  [[nodiscard]] std::string text(std::size_t offset) const {
    const auto number = std::to_integer<std::size_t>(formatted.at(offset));
    return number == 0 ? std::string() : strings.at(number - 1);
  }
};

/// Nullopt: something is not as it should be.
inline std::optional<std::vector<Structure>> walk(std::span<const std::byte> all,
                                                  std::uint64_t at) {
  if (all.size() < kTablesOffset || std::memcmp(all.data(), "_SM3_", 5) != 0) return std::nullopt;
  unsigned sum = 0;
  for (const std::byte byte : all.first(kEntryBytes)) sum += std::to_integer<unsigned>(byte);
  if ((sum & 0xff) != 0 || all[6] != std::byte{kEntryBytes}) return std::nullopt;
  if (load_le<std::uint64_t>(&all[16]) != at + kTablesOffset) return std::nullopt;
  std::span<const std::byte> rest = all.subspan(kTablesOffset);
  if (load_le<std::uint32_t>(&all[12]) != rest.size()) return std::nullopt;

  std::vector<Structure> found;
  while (!rest.empty()) {
    const std::size_t length = rest.size() < 4 ? 0 : std::to_integer<std::size_t>(rest[1]);
    if (length < 4 || length > rest.size()) return std::nullopt;
    Structure structure{.type = std::to_integer<std::uint8_t>(rest[0]),
                        .handle = load_le<std::uint16_t>(&rest[2]),
                        .formatted = {rest.begin(), rest.begin() + static_cast<long>(length)},
                        .strings = {}};
    rest = rest.subspan(length);
    for (;;) {
      const auto end = std::ranges::find(rest, std::byte{0});
      if (end == rest.end()) return std::nullopt;
      const auto size = static_cast<std::size_t>(end - rest.begin());
      const std::string text(reinterpret_cast<const char*>(rest.data()), size);
      rest = rest.subspan(size + 1);
      if (text.empty()) break;
      structure.strings.push_back(text);
    }
    if (structure.strings.empty()) {  // two zeros then
      if (rest.empty() || rest[0] != std::byte{0}) return std::nullopt;
      rest = rest.subspan(1);
    }
    found.push_back(std::move(structure));
  }
  return found;
}

}  // namespace vmm::smbios
