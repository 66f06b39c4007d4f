// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <utility>

#include "vmm/event_manager/event_loop.h"
#include "vmm/rate_limiter/rate_limiter.h"

namespace vmm::virtio_net {

/// Calls `go_on` in the loop whenever the gate, which must not move, has been opened again. Empty
/// when there is no limiter. Errors: those of EventLoop::add().
template <class GoOn>
Result<event_manager::Registration> watch_gate(event_manager::EventLoop& loop,
                                               rate_limiter::RateGate& gate, GoOn go_on) {
  if (gate.timer_fd() < 0) return event_manager::Registration();
  return loop.add(gate.timer_fd(), event_manager::kReadable,
                  [&gate, go_on = std::move(go_on)](event_manager::EventSet) {
                    gate.open();
                    go_on();
                  });
}

}  // namespace vmm::virtio_net
