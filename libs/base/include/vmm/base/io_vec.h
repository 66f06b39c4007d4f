// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>

namespace vmm {

/// A piece of memory for system calls; laid out as struct iovec. For guest memory nobody may
/// dereference it.
struct IoVec {
  void* base = nullptr;   ///< in this process, or in the guest's memory mapped there
  std::size_t bytes = 0;  ///< from `base` on
};

}  // namespace vmm
