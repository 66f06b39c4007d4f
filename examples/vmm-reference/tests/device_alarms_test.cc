// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "device_alarms.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdint>

using namespace vmm;
using namespace vmm::reference;

namespace {

// As the kernel does.
void signal(int fd) {
  const std::uint64_t one = 1;
  REQUIRE(::write(fd, &one, sizeof(one)) == sizeof(one));
}

}  // namespace

TEST_CASE("what the host says of a device is heard on the loop, each time", "[alarms]") {
  auto loop = *event_manager::EventLoop::create();
  int wanted = 0;
  int failed = 0;
  auto alarms =
      DeviceAlarms::create("dev", loop, {.wanted = [&] { ++wanted; }, .failed = [&] { ++failed; }});
  REQUIRE(alarms);
  const auto round = [&loop] { REQUIRE(loop.run_once(std::chrono::milliseconds(0))); };
  round();
  CHECK((wanted == 0 && failed == 0));
  signal((*alarms)->wanted_fd());
  round();
  round();
  CHECK((wanted == 1 && failed == 0));
  signal((*alarms)->wanted_fd());
  signal((*alarms)->error_fd());
  round();
  CHECK((wanted == 2 && failed == 1));
}

TEST_CASE("who is told of a device may let it go", "[alarms]") {
  auto loop = *event_manager::EventLoop::create();
  std::unique_ptr<DeviceAlarms> alarms;
  int failed = 0;
  alarms = *DeviceAlarms::create("dev", loop,
                                 {.wanted = [&] { alarms.reset(); }, .failed = [&] { ++failed; }});
  signal(alarms->error_fd());
  signal(alarms->wanted_fd());
  REQUIRE(loop.run_once(std::chrono::milliseconds(0)));
  CHECK(alarms == nullptr);
  CHECK(failed <= 1);
  REQUIRE(loop.run_once(std::chrono::milliseconds(0)));
}
