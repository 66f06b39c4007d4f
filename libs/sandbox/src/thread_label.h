// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>

namespace vmm::sandbox::detail {

/// The name that the thread had when it went behind a filter, for a signal handler to tell: by
/// then it may not be allowed to ask. Empty: it has installed none itself.
inline constinit thread_local std::array<char, 16> thread_label{};

}  // namespace vmm::sandbox::detail
