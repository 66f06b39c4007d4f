// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vm_events.h"

#include <poll.h>

#include <catch2/catch.hpp>

namespace vmm::reference {
namespace {

bool told(const VmEvents& events) {
  pollfd poll{.fd = events.fd(), .events = POLLIN, .revents = 0};
  return ::poll(&poll, 1, 0) == 1;
}

TEST_CASE("events: the first end of a machine counts until it is forgotten", "[vm-events]") {
  VmEvents events = *VmEvents::create();
  CHECK((!told(events) && events.end() == VmEnd::kNone));
  events.report(VmEnd::kReset);
  events.report(VmEnd::kPowerOff);
  CHECK((told(events) && events.end() == VmEnd::kReset));
  events.clear();
  CHECK((!told(events) && events.end() == VmEnd::kNone));
}

TEST_CASE("events: an end that is put off is told again, and not forgotten", "[vm-events]") {
  VmEvents events = *VmEvents::create();
  events.tell_again();
  CHECK_FALSE(told(events));
  events.report(VmEnd::kReset);
  events.put_off();
  CHECK((!told(events) && events.end() == VmEnd::kReset));
  events.report(VmEnd::kReset);
  CHECK_FALSE(told(events));
  events.tell_again();
  CHECK(told(events));
  events.put_off();
  events.clear();
  events.tell_again();
  CHECK_FALSE(told(events));
}

TEST_CASE("events: a failure and the user's end come before what the guest has asked for",
          "[vm-events]") {
  VmEvents events = *VmEvents::create();
  const auto asked = GENERATE(VmEnd::kReset, VmEnd::kPowerOff);
  events.report(asked);
  events.put_off();
  SECTION("the user") {
    events.report(VmEnd::kStopped);
    CHECK((told(events) && events.end() == VmEnd::kStopped));
    events.report(asked);
    events.report(Failure{.message = "a device"});
    CHECK(events.end() == VmEnd::kStopped);
  }
  SECTION("a failure") {
    events.report(Failure{.message = "a device"});
    CHECK((told(events) && events.end() == VmEnd::kFailed));
    CHECK(events.failure().message == "a device");
    events.report(asked);
    events.report(VmEnd::kStopped);
    CHECK(events.end() == VmEnd::kFailed);
  }
}

}  // namespace
}  // namespace vmm::reference
