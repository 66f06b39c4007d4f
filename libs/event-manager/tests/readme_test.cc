// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The example of README.md.

#include <sys/socket.h>

#include <catch2/catch.hpp>
#include <chrono>

#include "vmm/event_manager/event_loop.h"
#include "vmm/event_manager/timer.h"

namespace {

using namespace vmm::event_manager;

vmm::Result<void> serve(int socket) {
  VMM_TRY(EventLoop loop, EventLoop::create());
  VMM_TRY(const Registration reader, loop.add(socket, kReadable, [&](EventSet ready) {
    if (ready.has_any(kHangUp)) loop.stop();
    // read what is there
  }));
  VMM_TRY(Timer timer, Timer::create(loop, [](std::uint64_t) { /* once a second */ }));
  VMM_TRY_DO(timer.arm({.after = std::chrono::seconds(1), .every = std::chrono::seconds(1)}));
  return loop.run();  // other threads use loop.post() or a copy of loop.poster()
}

}  // namespace

TEST_CASE("the example of the README serves until its peer hangs up") {
  int ends[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  const vmm::UniqueFd served(ends[0]);
  vmm::UniqueFd(ends[1]).reset();
  REQUIRE(serve(served.get()).has_value());
}
