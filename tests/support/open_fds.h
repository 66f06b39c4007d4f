// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <dirent.h>

#include <cstddef>

namespace vmm {

/// How many entries /proc/self/fd has: the same number before and after means that no descriptor
/// leaked. 0 when it cannot be read.
inline std::size_t open_fds() {
  DIR* const folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return 0;
  std::size_t count = 0;
  while (::readdir(folder) != nullptr) ++count;
  ::closedir(folder);
  return count;
}

}  // namespace vmm
