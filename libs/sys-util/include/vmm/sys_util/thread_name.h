// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <string>
#include <string_view>

namespace vmm::sys_util {

/// Names the calling thread, as seen in ps(1) and debuggers. The kernel keeps 15 bytes; the rest
/// is cut off.
void set_thread_name(std::string_view name);
/// The name of the calling thread.
[[nodiscard]] std::string thread_name();

}  // namespace vmm::sys_util
