// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cerrno>
#include <chrono>
#include <thread>

#include "vmm/base/error.h"

namespace vmm::reference {

/// Whether the process at the other end of a socket may still come.
inline bool is_not_there(const Error& error) {
  return error.is_os(ENOENT) || error.is_os(ECONNREFUSED) || error.is_os(EAGAIN);
}

/// Tries to reach another process until it is there, a minute at most.
template <class Try>
auto patiently(Try&& attempt) {
  constexpr std::chrono::seconds kPatience{60};
  constexpr std::chrono::milliseconds kRetry{100};
  const auto end = std::chrono::steady_clock::now() + kPatience;
  for (;;) {
    auto result = attempt();
    if (result || !is_not_there(result.error()) || std::chrono::steady_clock::now() >= end) {
      return result;
    }
    std::this_thread::sleep_for(kRetry);
  }
}

}  // namespace vmm::reference
