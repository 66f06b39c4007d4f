// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "line_names.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

namespace vmm::virtio_gpio {
namespace {

bool is_printable(char c) { return c >= ' ' && c <= '~'; }

}  // namespace

std::vector<std::byte> line_names(const Chip& chip) {
  std::vector<std::byte> block;
  std::set<std::string> seen;
  for (std::uint16_t line = 0; line < chip.lines(); ++line) {
    std::string name = chip.name(line);
    if (std::ranges::all_of(name, is_printable) && seen.insert(name).second) {
      for (const char c : name) block.push_back(static_cast<std::byte>(c));
    }
    block.push_back(std::byte{0});
  }
  if (block.size() == chip.lines()) block.clear();
  return block;
}

}  // namespace vmm::virtio_gpio
