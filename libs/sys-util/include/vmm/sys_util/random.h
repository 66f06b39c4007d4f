// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <span>

#include "vmm/base/result.h"

namespace vmm::sys_util {

/// Fills `bytes` from the kernel's generator; good enough for keys. Waits for its seed early in a
/// system's life. Errors: the errno of getrandom(2); EINTR is retried.
Result<void> fill_random(std::span<std::byte> bytes);

}  // namespace vmm::sys_util
