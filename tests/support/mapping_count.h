// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <fstream>
#include <string>
#include <string_view>

namespace vmm {

/// How many mappings this process has, of files with this in their names or of anything: the same
/// number before and after means that none leaked. Sanitizers may map something in between.
inline std::ptrdiff_t mapping_count(std::string_view name = {}) {
  std::ifstream maps("/proc/self/maps");
  std::ptrdiff_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    if (line.find(name) != std::string::npos) ++count;
  }
  return count;
}

}  // namespace vmm
