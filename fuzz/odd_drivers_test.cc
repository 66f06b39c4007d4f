// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Each device with drivers that do what few do, and may.

#include <catch2/catch.hpp>

#include "any_device.h"
#include "vmm/virtio_device/testing/device_rig.h"

namespace vmm {
namespace {

using virtio_device::kAcknowledge;
using virtio_device::kDriver;
using virtio_device::testing::Bytes;
using virtio_device::testing::DeviceRig;
using virtio_device::testing::Request;
using virtio_device::testing::RigOptions;

/// What a device offers, but for the queues.
std::uint64_t features_of(const AnyDevice& any) {
  return any.device->features() & virtio_device::kDeviceFeatures;
}

std::size_t parts_of(const Request& request) {
  return request.readable.size() + request.writable.size();
}

struct Rings {
  bool packed;
  std::uint16_t size;
};

TEST_CASE("each device serves queues of each small size, with each kind of notification", "[odd]") {
  const Rings rings = GENERATE(values<Rings>(
      {{false, 1}, {false, 2}, {false, 4}, {true, 1}, {true, 2}, {true, 3}, {true, 5}, {true, 7}}));
  const bool event_idx = GENERATE(false, true);
  const bool indirect = GENERATE(false, true);
  for (std::size_t number = 0; number < kAnyDevices; ++number) {
    CAPTURE(rings.packed, rings.size, event_idx, indirect, number);
    const AnyDevice any = make_any_device(number);
    Request probe = any.probe;
    probe.indirect = indirect;
    if (!indirect && parts_of(probe) > rings.size) continue;
    const bool in_order = (any.device->features() & virtio_queue::kFeatureInOrder) != 0;
    DeviceRig rig(any.device,
                  {.packed = rings.packed,
                   .event_idx = event_idx,
                   .in_order = in_order && event_idx,
                   .features = features_of(any) | (indirect ? virtio_queue::kFeatureIndirect : 0),
                   .queue_size = rings.size});
    REQUIRE(rig.start());
    for (int round = 0; round < 20; ++round) REQUIRE(rig.exchange(any.probe_queue, probe));
    CHECK(rig.running());
  }
}

TEST_CASE("each device serves a driver that accepts nothing, or says at FEATURES_OK that not",
          "[odd]") {
  int refuse = 0;
  for (std::size_t number = 0; number < kAnyDevices; ++number) {
    CAPTURE(number);
    const AnyDevice any = make_any_device(number);
    DeviceRig rig(any.device);
    if (rig.start()) {
      CHECK(rig.exchange(any.probe_queue, any.probe));
      continue;
    }
    ++refuse;
    CHECK(rig.core().status() == (kAcknowledge | kDriver));
  }
  CHECK(refuse == 2);  // I2C, and memory
}

// Features that need others are the driver's fault, 2.2.1; it is told, or served.
TEST_CASE("each device serves a driver that accepts one feature, or says at FEATURES_OK that not",
          "[odd][hostile]") {
  for (std::size_t number = 0; number < kAnyDevices; ++number) {
    const std::uint64_t offered = features_of(make_any_device(number));
    for (unsigned bit = 0; bit < 64; ++bit) {
      if ((offered & virtio_device::feature(bit)) == 0) continue;
      CAPTURE(number, bit);
      const AnyDevice any = make_any_device(number);
      DeviceRig rig(any.device, {.features = virtio_device::feature(bit)});
      if (rig.start()) {
        CHECK(rig.exchange(any.probe_queue, any.probe));
      } else {
        CHECK(rig.core().status() == (kAcknowledge | kDriver));
      }
    }
  }
}

TEST_CASE("a driver need not enable all queues", "[odd]") {
  for (std::size_t number = 0; number < kAnyDevices; ++number) {
    CAPTURE(number);
    const AnyDevice any = make_any_device(number);
    const bool is_vsock = any.device->type() == virtio_device::DeviceType::kVsock;
    for (std::uint16_t only = 0; only < any.device->queue_sizes().size(); ++only) {
      CAPTURE(only);
      DeviceRig rig(any.device, {.features = features_of(any), .only_queue = only});
      REQUIRE(rig.start());
      if (only == any.probe_queue && !is_vsock) {  // whose answers go to another queue
        CHECK(rig.exchange(any.probe_queue, any.probe));
      }
      for (int how = 0; how < 16; ++how) {
        if (any.host) any.host(static_cast<std::uint8_t>(how));
        CHECK(rig.run());
      }
      CHECK(rig.running());
    }
  }
}

TEST_CASE("a reset with requests in flight leaves nothing behind", "[odd]") {
  const bool packed = GENERATE(false, true);
  for (std::size_t number = 0; number < kAnyDevices; ++number) {
    CAPTURE(packed, number);
    const AnyDevice any = make_any_device(number);
    DeviceRig rig(any.device, {.packed = packed, .features = features_of(any)});
    for (int round = 0; round < 4; ++round) {
      REQUIRE(rig.start());
      for (int i = 0; i < 8; ++i) (void)rig.send(any.probe_queue, any.probe);
      if (round % 2 != 0) CHECK(rig.run());
      rig.reset();
      CHECK(rig.run());
    }
    REQUIRE(rig.start());
    CHECK(rig.exchange(any.probe_queue, any.probe));
  }
}

// 2.5.2.
TEST_CASE("each field is read before FEATURES_OK, whole or in parts", "[odd]") {
  for (std::size_t number = 0; number < kAnyDevices; ++number) {
    CAPTURE(number);
    const AnyDevice any = make_any_device(number);
    DeviceRig rig(any.device);
    Bytes whole(rig.core().config_bytes());
    rig.core().read_config(0, whole);
    const std::uint32_t generation = rig.core().config_generation();
    for (std::size_t at = 0; at < whole.size(); ++at) {
      for (const std::size_t width : {1u, 2u, 3u, 4u, 8u}) {
        Bytes part(width);
        rig.core().read_config(at, part);
        const std::size_t inside = std::min(width, whole.size() - at);
        CAPTURE(at, width);
        CHECK(std::equal(part.begin(), part.begin() + static_cast<std::ptrdiff_t>(inside),
                         whole.begin() + static_cast<std::ptrdiff_t>(at)));
      }
    }
    CHECK(rig.core().config_generation() == generation);
  }
}

}  // namespace
}  // namespace vmm
