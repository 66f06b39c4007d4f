// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace vmm::arch::x86_64 {

/// A name of ACPI: a letter and three hexadecimal digits.
struct IndexedName {
  std::array<char, 4> text;
  IndexedName(char letter, std::uint32_t index) {
    constexpr std::string_view kDigits = "0123456789ABCDEF";
    text = {letter, kDigits[index >> 8 & 15], kDigits[index >> 4 & 15], kDigits[index & 15]};
  }
  [[nodiscard]] std::string_view view() const { return {text.data(), text.size()}; }
};

}  // namespace vmm::arch::x86_64
