// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <iterator>

namespace vmm {

/// How many mappings this process has: the same number before and after means that none leaked.
inline std::ptrdiff_t mapping_count() {
  std::ifstream maps("/proc/self/maps");
  return std::count(std::istreambuf_iterator<char>(maps), {}, '\n');
}

}  // namespace vmm
