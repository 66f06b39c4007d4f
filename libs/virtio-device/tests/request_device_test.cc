// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_device/request_device.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>

#include "vmm/virtio_device/features.h"
#include "vmm/virtio_device/testing/device_rig.h"
#include "vmm/virtio_device/testing/hostile_chains.h"

namespace vmm::virtio_device {
namespace {

using namespace testing;

/// Answers with the number of the queue and what it was asked.
class Parrot final : public RequestDevice {
 public:
  Parrot() : RequestDevice({.type = DeviceType::kCan, .queue_sizes = {8, 64}, .features = 2}) {}

 protected:
  std::uint32_t answer(std::uint16_t queue, virtio_queue::Chain& request) override {
    std::array<std::byte, 32> bytes{std::byte(queue)};
    const std::size_t n = request.reader().read(std::span(bytes).subspan(1));
    return static_cast<std::uint32_t>(request.writer().write(std::span(bytes).first(1 + n)));
  }
};

TEST_CASE("requests of all queues are answered, each by its queue", "[request_device]") {
  for (const bool packed : {false, true}) {
    DeviceRig rig(std::make_shared<Parrot>(), {.packed = packed});
    REQUIRE(rig.start());
    for (const std::uint16_t queue : std::to_array<std::uint16_t>({0, 1, 0})) {
      const auto answer =
          rig.exchange(queue, {.readable = {bytes_of("ab")}, .writable = {2, 1, 5}});
      REQUIRE(answer);
      CHECK(answer->written == 3);
      CHECK(answer->at<std::uint8_t>(0) == queue);
      CHECK(answer->at<char>(2) == 'b');
      CHECK(answer->at<std::byte>(3) == DeviceRig::kUntouched);
    }
  }
}

TEST_CASE("a request as long as the longest queue is answered", "[request_device]") {
  DeviceRig rig(std::make_shared<Parrot>(), {});
  REQUIRE(rig.start());
  const Request request{.readable = {}, .writable = std::vector<std::uint32_t>(64, 1)};
  const auto answer = rig.exchange(1, request);
  REQUIRE(answer);
  CHECK(answer->written == 1);
}

TEST_CASE("the device is what it says, and survives what no driver sends", "[request_device]") {
  const auto device = std::make_shared<Parrot>();
  CHECK(device->type() == DeviceType::kCan);
  CHECK(device->config_bytes() == 0);
  CHECK((device->features() & 2) != 0);
  CHECK((device->features() & virtio_queue::kFeatureRingReset) != 0);
  for (const bool packed : {false, true}) {
    for (const HostileChain& chain : hostile_chains()) {
      CAPTURE(packed, chain.name);
      DeviceRig rig(device, {.packed = packed, .features = virtio_queue::kFeatureIndirect});
      REQUIRE(rig.start());
      CHECK(outlive(rig, 1, chain) == "");
      const auto answer = rig.exchange(1, {.readable = {bytes_of("x")}, .writable = {9}});
      REQUIRE(answer);
      CHECK(answer->written == 2);
    }
  }
}

/// Takes its time for each answer.
class Slow final : public RequestDevice {
 public:
  Slow() : RequestDevice({.type = DeviceType::kCan, .queue_sizes = {64}, .features = 0}) {}

  int answers = 0;

 protected:
  std::uint32_t answer(std::uint16_t, virtio_queue::Chain&) override {
    ::usleep(4000);
    ++answers;
    return 0;
  }
};

TEST_CASE("requests that take long leave others of the loop their turn",
          "[request_device][hostile]") {
  const auto device = std::make_shared<Slow>();
  DeviceRig rig(device, {.packed = GENERATE(false, true)});
  REQUIRE(rig.start());
  constexpr int kRequests = 60;  // a quarter of a second
  for (int i = 0; i < kRequests; ++i) REQUIRE(rig.send(0, {.readable = {}, .writable = {1}}));
  int answers = 0;
  rig.loop().post([&] { answers = device->answers; });  // as a reset is
  REQUIRE(rig.run_until([&] { return answers != 0; }));
  CHECK(answers < kRequests / 2);
  REQUIRE(rig.run_until([&] { return device->answers == kRequests; }));
  CHECK(rig.running());
}

TEST_CASE("a queue is reset alone, and served again", "[request_device]") {
  DeviceRig rig(std::make_shared<Parrot>(), {.features = virtio_queue::kFeatureRingReset});
  REQUIRE(rig.start());
  rig.core().reset_queue(0);
  rig.run();
  const auto other = rig.exchange(1, {.readable = {}, .writable = {1}});
  REQUIRE(other);
  CHECK(other->at<std::uint8_t>(0) == 1);
  CHECK_FALSE(rig.core().queue(0)->ready());
}

}  // namespace
}  // namespace vmm::virtio_device
