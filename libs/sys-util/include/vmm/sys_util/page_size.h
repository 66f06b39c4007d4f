// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>

namespace vmm::sys_util {

/// The host's page size in bytes, a power of two.
[[nodiscard]] std::size_t page_size();

}  // namespace vmm::sys_util
