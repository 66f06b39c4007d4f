// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "end_request.h"

#include <poll.h>
#include <signal.h>

#include <array>
#include <atomic>

namespace vmm::reference {
namespace {

constinit std::atomic<int> g_ends{-1};

}  // namespace

Outcome<sys_util::SignalFd> receive_ends() {
  constexpr std::array kSignals{SIGTERM, SIGINT, SIGHUP};
  VMM_STEP("signals", auto ends, sys_util::SignalFd::create(kSignals));
  g_ends.store(ends.fd());
  return ends;
}

// A signal for the process is pending for each of its threads, so that any of them may look.
bool end_is_asked() {
  pollfd ends{.fd = g_ends.load(), .events = POLLIN, .revents = 0};
  return ends.fd >= 0 && ::poll(&ends, 1, 0) == 1;
}

void forget_ends() { g_ends.store(-1); }

}  // namespace vmm::reference
