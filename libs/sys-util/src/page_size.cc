// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/page_size.h"

#include <unistd.h>

namespace vmm::sys_util {

// The C library answers from what the kernel gave the program at its start.
std::size_t page_size() { return static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)); }

}  // namespace vmm::sys_util
