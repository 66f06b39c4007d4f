// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cerrno>
#include <chrono>
#include <thread>

#include "end_request.h"
#include "vmm/base/error.h"

namespace vmm::reference {

/// How often who waits for another process looks for it.
inline constexpr std::chrono::milliseconds kRetry{100};
/// How long a back end may take to come. vhost-user's are started beside the VMM as often as before
/// it.
inline constexpr std::chrono::seconds kPatience{60};

/// Whether the process at the other end of a socket may still come.
inline bool is_not_there(const Error& error) {
  return error.is_os(ENOENT) || error.is_os(ECONNREFUSED) || error.is_os(EAGAIN);
}

/// Tries to reach another process until it is there, for `patience` at most, and no longer than
/// until somebody asks this one to end.
template <class Try>
auto patiently(std::chrono::seconds patience, Try&& attempt) {
  const auto end = std::chrono::steady_clock::now() + patience;
  for (;;) {
    auto result = attempt();
    if (result || !is_not_there(result.error()) || std::chrono::steady_clock::now() >= end ||
        end_is_asked()) {
      return result;
    }
    std::this_thread::sleep_for(kRetry);
  }
}

}  // namespace vmm::reference
