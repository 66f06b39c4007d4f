// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_device/testing/device_rig.h"

#include <catch2/catch.hpp>

#include "vmm/virtio_device/testing/echo_device.h"
#include "vmm/virtio_device/testing/hostile_chains.h"

namespace vmm::virtio_device::testing {
namespace {

RigOptions options_of(unsigned bits) {
  return {.packed = (bits & 1) != 0,
          .event_idx = (bits & 2) != 0,
          .in_order = (bits & 4) != 0,
          .queue_size = 8};
}

TEST_CASE("a rig exchanges requests with a device, whatever the ring", "[rig]") {
  for (unsigned bits = 0; bits < 8; ++bits) {
    CAPTURE(bits);
    DeviceRig rig(std::make_shared<EchoDevice>(), options_of(bits));
    REQUIRE(rig.start());
    for (int i = 0; i < 40; ++i) {
      const auto answer =
          rig.exchange(1, {.readable = {bytes_of("hel"), bytes_of("lo")}, .writable = {1, 2, 8}});
      REQUIRE(answer);
      CHECK(answer->written == 5);
      REQUIRE(answer->bytes.size() == 11);
      CHECK(answer->at<char>(0) == 'h');
      CHECK(answer->at<char>(4) == 'o');
      CHECK(answer->at<std::byte>(5) == DeviceRig::kUntouched);
    }
    CHECK(rig.interrupts(1) == 40);
    CHECK(rig.interrupts(0) == 0);
    CHECK(rig.running());
  }
}

TEST_CASE("a rig has many requests in flight, and says when there is no room", "[rig]") {
  for (const bool packed : {false, true}) {
    DeviceRig rig(std::make_shared<EchoDevice>(), {.packed = packed, .queue_size = 8});
    REQUIRE(rig.start());
    for (int i = 0; i < 8; ++i) CHECK(rig.send(0, {.readable = {}, .writable = {4}}));
    CHECK_FALSE(rig.send(0, {.readable = {}, .writable = {4}}));
    for (int i = 0; i < 8; ++i) REQUIRE(rig.wait(0));
    CHECK_FALSE(rig.wait(0, DeviceRig::Milliseconds(1)));
  }
}

TEST_CASE("a rig starts a device again and again in the same memory", "[rig]") {
  DeviceRig rig(std::make_shared<EchoDevice>(), {.ram_bytes = 1 << 20});
  for (int i = 0; i < 50; ++i) {
    REQUIRE(rig.start());
    REQUIRE(rig.exchange(0, {.readable = {Bytes(4096)}, .writable = {4096}}));
    REQUIRE(rig.send(0, {.readable = {Bytes(4096)}, .writable = {4096}}));
  }
}

TEST_CASE("a rig says that a device refused", "[rig]") {
  const auto device = std::make_shared<EchoDevice>();
  DeviceRig rig(device, {.features = feature(5)});
  CHECK_FALSE(rig.start());
  DeviceRig other(device);
  device->refuse(true);
  CHECK_FALSE(other.start());
  CHECK(other.core().status() == (DeviceRig::kRunning | kNeedsReset));
}

TEST_CASE("a device outlives each hostile chain", "[rig][hostile]") {
  for (unsigned bits = 0; bits < 8; ++bits) {
    RigOptions options = options_of(bits);
    options.features = virtio_queue::kFeatureIndirect;
    DeviceRig rig(std::make_shared<EchoDevice>(), options);
    REQUIRE(rig.start());
    for (const HostileChain& chain : hostile_chains()) {
      CAPTURE(bits, chain.name);
      CHECK(outlive(rig, 0, chain) == "");
      const auto answer = rig.exchange(0, {.readable = {bytes_of("x")}, .writable = {1}});
      REQUIRE(answer);
      CHECK(answer->written == 1);
    }
  }
}

}  // namespace
}  // namespace vmm::virtio_device::testing
