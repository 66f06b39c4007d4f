// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The README's example, compiled and run.

#include <catch2/catch.hpp>

#include "balloon_rig.h"

namespace {

using namespace vmm;
using virtio_balloon::Balloon;

struct Transport {
  std::shared_ptr<virtio_device::VirtioDevice> device;
};

Result<std::uint64_t> example(Transport& transport) {
  const auto balloon = Balloon::create({.target = 256 << 20,  // bytes, from the start
                                        .deflate_on_oom = true,
                                        .page_reporting = true});
  if (!balloon) return fail(balloon.error());
  transport.device = *balloon;  // any transport

  (void)(*balloon)->set_target(128 << 20);  // later, from any thread: half of it may come back
  (*balloon)->request_statistics();
  const std::uint64_t there = (*balloon)->actual();
  return there;
}

}  // namespace

TEST_CASE("the README's example works", "[balloon]") {
  Transport transport;
  const auto there = example(transport);
  REQUIRE(there);
  CHECK(*there == 0);
  virtio_balloon::DeviceRig rig(transport.device);
  REQUIRE(rig.start());
  CHECK(rig.config<Le32>(0).get() == 32768);
}
