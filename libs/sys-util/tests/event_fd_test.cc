// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/event_fd.h"

#include <fcntl.h>

#include <catch2/catch.hpp>
#include <cerrno>

using namespace vmm;
using sys_util::EventFd;

TEST_CASE("what was added to an eventfd is taken in one go") {
  const EventFd event = *EventFd::create();
  REQUIRE(event.add(50).has_value());
  REQUIRE(event.add(5).has_value());
  REQUIRE(*event.take() == 55);
  REQUIRE(event.take().error().is_os(EAGAIN));
}

TEST_CASE("an eventfd starts with the value asked for") {
  REQUIRE(*EventFd::create(7)->take() == 7);
}

TEST_CASE("an eventfd that is full refuses more", "[hostile]") {
  const EventFd event = *EventFd::create();
  REQUIRE(event.add(~std::uint64_t{0}).error().is_os(EINVAL));
  REQUIRE(event.add(~std::uint64_t{0} - 1).has_value());
  REQUIRE(event.add(1).error().is_os(EAGAIN));
}

// What a process does that got the descriptor with a message.
static void make_blocking(const EventFd& event) {
  const int flags = ::fcntl(event.fd(), F_GETFL);
  REQUIRE(::fcntl(event.fd(), F_SETFL, flags & ~O_NONBLOCK) == 0);
}

TEST_CASE("a peer that makes an eventfd blocking is not waited for", "[hostile]") {
  const EventFd event = *EventFd::create();
  make_blocking(event);
  REQUIRE(event.take().error().is_os(EAGAIN));
  REQUIRE(sys_util::signal_shared(event.fd()));
  REQUIRE(*event.take() == 1);
  REQUIRE(event.add(~std::uint64_t{0} - 1).has_value());
  REQUIRE_FALSE(sys_util::signal_shared(event.fd()));
  REQUIRE(*event.take() == ~std::uint64_t{0} - 1);
  REQUIRE_FALSE(sys_util::signal_shared(-1));
}

TEST_CASE("a duplicate of an eventfd shares the counter and is close-on-exec") {
  const EventFd event = *EventFd::create();
  const EventFd copy = *event.duplicate();
  REQUIRE(copy.fd() != event.fd());
  REQUIRE((::fcntl(copy.fd(), F_GETFD) & FD_CLOEXEC) != 0);
  REQUIRE(copy.add(3).has_value());
  REQUIRE(*event.take() == 3);
}

TEST_CASE("an eventfd can be taken over and given up") {
  EventFd event = EventFd::adopt(std::move(*EventFd::create(1)).release());
  REQUIRE(*event.take() == 1);
  REQUIRE(std::move(event).release());
  REQUIRE(event.fd() == -1);
}
