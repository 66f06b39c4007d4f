// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/random.h"

#include <sys/random.h>

#include <cerrno>

namespace vmm::sys_util {

Result<void> fill_random(std::span<std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t got = ::getrandom(bytes.data(), bytes.size(), 0);
    if (got >= 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(got));
    } else if (errno != EINTR) {
      return fail(Error::from_errno("getrandom"));
    }
  }
  return {};
}

}  // namespace vmm::sys_util
