// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <chrono>

#include "vmm/event_manager/event_loop.h"

namespace vmm::event_manager::testing {

/// Runs a loop, without waiting, until it has nothing to do. False: there was no end of it in so
/// many rounds.
inline bool run_until_idle(EventLoop& loop, int rounds = 10'000) {
  for (; rounds != 0; --rounds) {
    const auto ready = loop.run_once(std::chrono::milliseconds(0));
    if (!ready || *ready == 0) return true;
  }
  return false;
}

}  // namespace vmm::event_manager::testing
