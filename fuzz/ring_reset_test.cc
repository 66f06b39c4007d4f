// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// VIRTIO_F_RING_RESET of each device that offers it: a queue that was reset alone is served again.

#include <catch2/catch.hpp>

#include "any_device.h"
#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_device/testing/restart_queue.h"

namespace vmm {
namespace {

using virtio_device::testing::DeviceRig;
using virtio_device::testing::restart_queue;

TEST_CASE("a device that offers RING_RESET serves a queue again that was reset", "[ring-reset]") {
  const bool packed = GENERATE(false, true);
  std::size_t offer = 0;
  for (std::size_t number = 0; number < kAnyDevices; ++number) {
    CAPTURE(packed, number);
    const AnyDevice any = make_any_device(number);
    if ((any.device->features() & virtio_queue::kFeatureRingReset) == 0) continue;
    ++offer;
    DeviceRig rig(any.device,
                  {.packed = packed,
                   .features = (any.device->features() & virtio_device::kDeviceFeatures) |
                               virtio_queue::kFeatureRingReset});
    REQUIRE(rig.start());
    REQUIRE(rig.exchange(any.probe_queue, any.probe));
    for (int round = 0; round < 3; ++round) {
      for (std::uint16_t queue = 0; queue < rig.core().queue_count(); ++queue) {
        REQUIRE(restart_queue(rig, queue));
        CHECK(rig.run());
      }
      CHECK(rig.exchange(any.probe_queue, any.probe));
      CHECK(rig.running());
    }
  }
  CHECK(offer >= 9);
}

TEST_CASE("a queue that was reset and is not enabled again is left alone", "[ring-reset]") {
  for (std::size_t number = 0; number < kAnyDevices; ++number) {
    CAPTURE(number);
    const AnyDevice any = make_any_device(number);
    if ((any.device->features() & virtio_queue::kFeatureRingReset) == 0) continue;
    DeviceRig rig(any.device, {.features = virtio_queue::kFeatureRingReset});
    if (!rig.start()) continue;  // it wants features of its own
    rig.core().reset_queue(any.probe_queue);
    (void)rig.send(any.probe_queue, any.probe);
    for (int how = 0; how < 4; ++how) {
      if (any.host) any.host(static_cast<std::uint8_t>(how));
      CHECK(rig.run());
    }
    CHECK_FALSE(rig.receive(any.probe_queue));
    CHECK(rig.running());
  }
}

}  // namespace
}  // namespace vmm
