// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <string_view>

#include "vmm/base/result.h"

namespace vmm::net_user {

/// Whether it is a value of --seccomp.
bool is_filter_mode(std::string_view text);
/// Takes all system calls from the process but those that it needs once its ports are open and its
/// privileges gone, for good; nothing for "false". Errors: those of the sandbox library.
/// Precondition: is_filter_mode(mode).
Result<void> enter_filter(std::string_view mode);

}  // namespace vmm::net_user
