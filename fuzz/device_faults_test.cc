// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Each call that sets up what a device needs when its driver starts it fails once. Then the device
// asks for a reset, or works all the same; after a reset it works, and no descriptor is left.

#include <catch2/catch.hpp>
#include <cerrno>

#include "any_device.h"
#include "faulty_calls.h"
#include "open_fds.h"
#include "vmm/virtio_device/testing/device_rig.h"

namespace vmm {
namespace {

using virtio_device::testing::DeviceRig;

TEST_CASE("a device whose set-up fails says so, works after a reset, and leaves nothing",
          "[faults]") {
  const int error = GENERATE(EMFILE, ENOMEM, ENOSPC);
  constexpr std::uint32_t kCalls = faulty_calls::kSetUp | faulty_calls::kOpen | faulty_calls::kMap;
  for (std::size_t number = 0; number < kAnyDevices; ++number) {
    const std::size_t before = open_fds();
    const auto mapped = faulty_calls::mapped_bytes();
    for (std::uint64_t nth = 1;; ++nth) {
      CAPTURE(error, number, nth);
      const AnyDevice any = make_any_device(number);
      DeviceRig rig(any.device,
                    {.features = any.device->features() & virtio_device::kDeviceFeatures});
      faulty_calls::arm({.nth = nth, .error = error, .calls = kCalls});
      const bool started = rig.start();
      const bool failed = faulty_calls::disarm();
      REQUIRE((started || failed));
      if (!started) {
        CHECK((rig.core().status() & virtio_device::kNeedsReset) != 0);
        REQUIRE(rig.start());
      }
      const auto answer = rig.exchange(any.probe_queue, any.probe);
      REQUIRE(answer);
      CHECK(rig.running());
      if (!failed) break;
      REQUIRE(nth < 100);
    }
    CHECK(open_fds() == before);
    CHECK(faulty_calls::mapped_bytes() == mapped);
  }
}

}  // namespace
}  // namespace vmm
