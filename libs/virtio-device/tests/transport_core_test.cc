// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <array>
#include <catch2/catch.hpp>
#include <thread>

#include "core_fixture.h"
#include "open_fds.h"

using namespace vmm;
using namespace vmm::virtio_device;
using testing::EchoDevice;

namespace {

constexpr std::uint8_t kA = kAcknowledge;
constexpr std::uint8_t kAD = kAcknowledge | kDriver;
constexpr std::uint8_t kADF = kAcknowledge | kDriver | kFeaturesOk;
constexpr std::uint8_t kRun = CoreFixture::kRunning;

// Brings a core to a status by the steps that lead there.
void bring_to(CoreFixture& fixture, std::uint8_t status) {
  if (status >= kA) fixture.core->set_status(kA);
  if (status >= kAD) fixture.core->set_status(kAD);
  if (status == kADF || status == kRun) {
    fixture.core->set_driver_features(1, 1);
    fixture.core->set_status(kADF);
  }
  if (status == kRun) {
    fixture.set_up_queue(0);
    fixture.core->set_status(kRun);
  }
}

}  // namespace

TEST_CASE("the status takes one step of 3.1.1 at a time, for all values at each status",
          "[status][hostile]") {
  for (const std::uint8_t from : {std::uint8_t{0}, kA, kAD, kADF, kRun}) {
    for (unsigned value = 0; value < 256; ++value) {
      CoreFixture fixture;
      bring_to(fixture, from);
      REQUIRE(fixture.core->status() == from);
      if (from == kADF) fixture.set_up_queue(0);
      fixture.core->set_status(static_cast<std::uint8_t>(value));
      const unsigned told = value & ~unsigned{kNeedsReset};
      unsigned expected = from;
      if (value == 0) {
        expected = 0;
      } else if ((told & kFailed) != 0) {
        expected = from | kFailed;
      } else if ((from == 0 && (told == kA || told == kAD)) || (from == kA && told == kAD) ||
                 (from == kADF && told == kRun)) {
        expected = told;
      }  // FEATURES_OK without VERSION_1 is refused
      CAPTURE(unsigned{from}, value);
      CHECK(unsigned{fixture.core->status()} == expected);
      CHECK(fixture.core->active() == ((expected & kDriverOk) != 0));
    }
  }
}

TEST_CASE("DRIVER without ACKNOWLEDGE counts as both where that is allowed", "[status]") {
  for (const bool allowed : {false, true}) {
    CAPTURE(allowed);
    CoreFixture fixture;
    fixture.core = *TransportCore::create({.device = fixture.device,
                                           .memory = fixture.memory,
                                           .workers = fixture.workers,
                                           .sink = fixture.sink,
                                           .lone_driver = allowed});
    fixture.core->set_status(kDriver);
    CHECK(fixture.core->status() == (allowed ? kAD : 0));
    fixture.core->set_status(kDriver | kFeaturesOk | kDriverOk);
    CHECK(fixture.core->status() == (allowed ? kAD : 0));
  }
}

TEST_CASE("a status that failed goes nowhere but to 0", "[status][hostile]") {
  CoreFixture fixture;
  bring_to(fixture, kAD);
  fixture.core->set_status(kAD | kFailed);
  for (const std::uint8_t value : {kA, kAD, kADF, kRun}) {
    fixture.core->set_status(value);
    CHECK(fixture.core->status() == (kAD | kFailed));
  }
  fixture.core->set_status(0);
  CHECK(fixture.core->status() == 0);
}

TEST_CASE("FEATURES_OK needs VERSION_1 and nothing that was not offered", "[features][hostile]") {
  struct Case {
    std::uint64_t features;
    bool accepted;
  };
  const std::uint64_t v1 = kFeatureVersion1;
  for (const Case& c : {Case{v1, true}, Case{v1 | EchoDevice::kFeature, true},
                        Case{v1 | virtio_queue::kFeaturePacked, true}, Case{0, false},
                        Case{EchoDevice::kFeature, false}, Case{v1 | feature(4), false},
                        Case{v1 | kFeatureAccessPlatform, false}, Case{~std::uint64_t{0}, false}}) {
    CoreFixture fixture;
    fixture.negotiate(c.features);
    CAPTURE(c.features);
    CHECK(fixture.core->status() == (c.accepted ? kADF : kAD));
  }
}

TEST_CASE("FEATURES_OK is refused where the device cannot do with what was chosen", "[features]") {
  CoreFixture fixture;
  fixture.device->want_features(EchoDevice::kFeature);
  fixture.negotiate(kFeatureVersion1);
  CHECK(fixture.core->status() == kAD);
  CHECK(fixture.device->chosen() == 0);
  fixture.core->set_driver_features(0, static_cast<std::uint32_t>(EchoDevice::kFeature));
  fixture.core->set_status(kADF);  // the driver may choose again
  CHECK(fixture.core->status() == kADF);
}

TEST_CASE("behind an IOMMU, FEATURES_OK needs ACCESS_PLATFORM", "[features][hostile]") {
  CoreFixture parts;
  const auto core = *TransportCore::create({.device = std::make_shared<EchoDevice>(),
                                            .memory = parts.memory,
                                            .workers = parts.workers,
                                            .sink = parts.sink,
                                            .behind_iommu = true});
  CHECK((core->device_features(1) & 3) == 3);
  for (const std::uint32_t features : {1u, 2u, 3u}) {
    core->reset();
    core->set_status(kA);
    core->set_status(kAD);
    core->set_driver_features(1, features);
    core->set_status(kADF);
    CAPTURE(features);
    CHECK(core->status() == (features == 3 ? kADF : kAD));
  }
}

TEST_CASE("features of queues that a device does not bear are not offered", "[features]") {
  CoreFixture fixture(std::make_shared<EchoDevice>(2, virtio_queue::kFeatureIndirect));
  constexpr auto kAll = TransportCore::kQueueFeatures;
  const std::uint64_t offered =
      std::uint64_t{fixture.core->device_features(1)} << 32 | fixture.core->device_features(0);
  CHECK((offered & kAll) == virtio_queue::kFeatureIndirect);
  CHECK((offered & kFeatureVersion1) != 0);
  fixture.negotiate(kFeatureVersion1 | virtio_queue::kFeaturePacked);
  CHECK(fixture.core->status() == kAD);
}

TEST_CASE("feature words are read and written where they may be", "[features][hostile]") {
  CoreFixture fixture;
  CHECK((fixture.core->device_features(0) & EchoDevice::kFeature) != 0);
  CHECK((fixture.core->device_features(1) & 1) != 0);
  CHECK(fixture.core->device_features(2) == 0);
  CHECK(fixture.core->device_features(~0u) == 0);
  const auto try_write = [&](std::uint32_t value) {
    fixture.core->set_driver_features(0, value);
    fixture.core->set_driver_features(7, value);
    return fixture.core->driver_features(0) == value;
  };
  CHECK_FALSE(try_write(8));  // before DRIVER
  bring_to(fixture, kAD);
  CHECK(try_write(8));
  fixture.core->set_driver_features(1, 1);
  fixture.core->set_status(kADF);
  CHECK_FALSE(try_write(0));  // after FEATURES_OK
  fixture.core->set_status(0);
  CHECK(fixture.core->driver_features(0) == 0);
}

TEST_CASE("queues change only between FEATURES_OK and DRIVER_OK", "[queue][hostile]") {
  for (const std::uint8_t status : {std::uint8_t{0}, kA, kAD, kADF, kRun}) {
    CoreFixture fixture;
    bring_to(fixture, status);
    CAPTURE(unsigned{status});
    CHECK((fixture.core->editable_queue(1) != nullptr) == (status == kADF));
    for (const std::uint32_t beyond : {2u, 3u, 0xffffu, 0x10000u, ~0u}) {
      CHECK(fixture.core->editable_queue(beyond) == nullptr);
      CHECK(fixture.core->queue(beyond) == nullptr);
      CHECK(fixture.core->kick_fd(beyond) == -1);
      fixture.core->kick(beyond);
      fixture.core->enable_queue(beyond);
      fixture.core->disable_queue(beyond);
      fixture.core->reset_queue(beyond);
    }
    if (status != kRun) continue;
    fixture.core->enable_queue(1);  // a queue that was not enabled in time stays off
    CHECK_FALSE(fixture.core->queue(1)->ready());
  }
}

TEST_CASE("an enabled queue has to be disabled before it changes", "[queue]") {
  CoreFixture fixture;
  bring_to(fixture, kADF);
  fixture.set_up_queue(0);
  CHECK(fixture.core->editable_queue(0) == nullptr);
  fixture.core->disable_queue(0);
  CHECK(fixture.core->editable_queue(0) != nullptr);
}

TEST_CASE("a queue that is disabled while the device runs is left alone, and set up anew",
          "[queue][hostile]") {
  for (const bool can_stop : {true, false}) {
    CAPTURE(can_stop);
    const auto device = std::make_shared<EchoDevice>();
    device->offer_ring_reset(can_stop);
    CoreFixture fixture(device);
    auto driver = fixture.driver(0);
    fixture.go();
    fixture.core->disable_queue(0);
    CHECK(fixture.core->queue(0)->ready() == !can_stop);  // the driver is told the truth
    CHECK((fixture.core->editable_queue(0) != nullptr) == can_stop);
    CHECK(fixture.core->queue(1)->ready());
    const virtio_queue::driver::Buffer buffer{.address = GuestAddress(0x20000), .length = 8};
    REQUIRE(driver.add({&buffer, 1}));
    (void)driver.publish();
    fixture.core->kick(0);
    fixture.run();
    CHECK(device->served() == (can_stop ? 0 : 1));
    if (!can_stop) continue;
    driver = fixture.driver(0);
    fixture.set_up_queue(0);
    CHECK(fixture.core->queue(0)->ready());
    REQUIRE(driver.add({&buffer, 1}));
    (void)driver.publish();
    fixture.core->kick(0);
    fixture.run();
    CHECK(device->served() == 1);
    CHECK(fixture.core->status() == kRun);
  }
}

TEST_CASE("a queue is reset before DRIVER_OK, too", "[queue]") {
  for (const bool agreed : {true, false}) {
    CAPTURE(agreed);
    CoreFixture fixture;
    fixture.negotiate(kFeatureVersion1 | (agreed ? virtio_queue::kFeatureRingReset : 0));
    fixture.set_up_queue(0);
    fixture.core->reset_queue(0);
    CHECK(fixture.core->queue(0)->ready() == !agreed);
    CHECK((fixture.core->queue(0)->rings().driver == GuestAddress(0)) == agreed);
    if (!agreed) continue;
    fixture.set_up_queue(0);
    fixture.core->set_status(kRun);
    CHECK(fixture.core->status() == kRun);
    CHECK(fixture.core->queue(0)->ready());
  }
}

TEST_CASE("DRIVER_OK with a queue that cannot run breaks the device", "[queue][hostile]") {
  CoreFixture fixture;
  bring_to(fixture, kADF);
  virtio_queue::QueueConfig* const queue = fixture.core->editable_queue(0);
  REQUIRE(queue->set_descriptors(GuestAddress(0xfffffff0)));
  fixture.core->enable_queue(0);
  fixture.core->set_status(kRun);
  CHECK(fixture.core->status() == (kRun | kNeedsReset));
  CHECK(fixture.sink.config == 1);
  CHECK(fixture.device->activations() == 0);
  CHECK(fixture.device->workers() == 0);
}

TEST_CASE("a device that does not start asks for a reset, which helps", "[status]") {
  CoreFixture fixture;
  fixture.device->refuse(true);
  fixture.go();
  CHECK(fixture.core->status() == (kRun | kNeedsReset));
  CHECK(fixture.sink.config == 1);
  CHECK_FALSE(fixture.core->active());
  fixture.device->refuse(false);
  fixture.core->set_status(kADF);  // no way back
  fixture.core->set_status(kRun);
  fixture.core->reset_queue(0);
  CHECK(fixture.core->editable_queue(0) == nullptr);
  CHECK(fixture.core->status() == (kRun | kNeedsReset));
  CHECK(fixture.device->activations() == 0);
  fixture.core->set_status(0);
  CHECK(fixture.core->status() == 0);
  fixture.go();
  CHECK(fixture.core->status() == kRun);
  CHECK(fixture.sink.config == 1);
}

TEST_CASE("a device serves its driver, over split and packed rings", "[device]") {
  for (const bool packed : {false, true}) {
    CoreFixture fixture;
    auto driver = fixture.driver(1, packed);
    fixture.go(kFeatureVersion1 | (packed ? virtio_queue::kFeaturePacked : 0));
    REQUIRE(fixture.core->status() == kRun);
    const auto memory = fixture.memory.view();
    REQUIRE(memory.write(GuestAddress(0x20000), Le64(0x1122334455667788)));
    const std::array<virtio_queue::driver::Buffer, 2> request{
        {{.address = GuestAddress(0x20000), .length = 8},
         {.address = GuestAddress(0x21000), .length = 16, .device_writable = true}}};
    REQUIRE(driver.add(request));
    if (driver.publish()) fixture.core->kick(1);
    fixture.run();
    const auto used = driver.reap();
    REQUIRE(used);
    REQUIRE(used->has_value());
    CHECK((*used)->written == 8);
    CHECK(memory.read<Le64>(GuestAddress(0x21000))->get() == 0x1122334455667788);
    CHECK(fixture.sink.queues[1] == 1);
    CHECK(fixture.sink.queues[0] == 0);
  }
}

TEST_CASE("a broken ring makes the device ask for a reset, which helps", "[device][hostile]") {
  CoreFixture fixture;
  auto driver = fixture.driver(0);
  fixture.go();
  // More entries than the ring has.
  REQUIRE(fixture.memory.view().write(GuestAddress(CoreFixture::rings(0).driver.raw() + 2),
                                      Le16(1000)));
  fixture.core->kick(0);
  fixture.run();
  CHECK(fixture.core->status() == (kRun | kNeedsReset));
  CHECK(fixture.sink.config == 1);
  fixture.core->set_status(kRun | kNeedsReset | kFailed);
  CHECK(fixture.core->status() == (kRun | kNeedsReset | kFailed));
  fixture.core->set_status(0);
  CHECK(fixture.core->status() == 0);
  driver = fixture.driver(0);
  fixture.go();
  CHECK(fixture.core->status() == kRun);
}

TEST_CASE("reset and activation in a loop leak nothing", "[status]") {
  CoreFixture fixture;
  fixture.go();
  fixture.core->set_status(0);
  const std::size_t before = open_fds();
  for (int i = 0; i < 200; ++i) {
    auto driver = fixture.driver(0);
    fixture.go();
    REQUIRE(fixture.device->workers() == 1);
    fixture.core->kick(0);
    fixture.run();
    fixture.core->set_status(0);
    REQUIRE(fixture.device->workers() == 0);
  }
  CHECK(open_fds() == before);
  CHECK(fixture.device->resets() == fixture.device->activations());
}

TEST_CASE("one queue is reset and runs again while the other goes on", "[queue]") {
  CoreFixture fixture;
  auto other = fixture.driver(1);
  fixture.go(kFeatureVersion1 | virtio_queue::kFeatureRingReset);
  REQUIRE(fixture.core->status() == kRun);
  fixture.core->reset_queue(0);
  CHECK_FALSE(fixture.core->queue(0)->ready());
  CHECK(fixture.core->queue(0)->size() == EchoDevice::kQueueSize);
  REQUIRE(fixture.core->editable_queue(0) != nullptr);
  CHECK(fixture.core->editable_queue(1) == nullptr);

  auto driver = fixture.driver(0);
  fixture.set_up_queue(0);
  CHECK(fixture.core->queue(0)->ready());
  CHECK(fixture.core->editable_queue(0) == nullptr);
  for (auto* const each : {&driver, &other}) {
    const virtio_queue::driver::Buffer buffer{.address = GuestAddress(0x20000), .length = 8};
    REQUIRE(each->add({&buffer, 1}));
    (void)each->publish();
  }
  fixture.core->kick(0);
  fixture.core->kick(1);
  fixture.run();
  CHECK(fixture.device->served() == 2);
}

TEST_CASE("a queue is not reset without RING_RESET, nor enabled with rings that are none",
          "[queue][hostile]") {
  CoreFixture fixture;
  fixture.go();
  fixture.core->reset_queue(0);
  CHECK(fixture.core->queue(0)->ready());
  fixture.core->set_status(0);
  fixture.go(kFeatureVersion1 | virtio_queue::kFeatureRingReset);
  fixture.core->reset_queue(0);
  REQUIRE(fixture.core->editable_queue(0)->set_descriptors(GuestAddress(0x7fff0000)));
  fixture.core->enable_queue(0);
  CHECK_FALSE(fixture.core->queue(0)->ready());
  CHECK(fixture.core->editable_queue(0) != nullptr);
}

TEST_CASE("the configuration space is read and written within its bounds", "[config][hostile]") {
  CoreFixture fixture;
  fixture.device->fill_config(std::byte{0x5a});
  for (const std::uint64_t offset : {0ull, 1ull, 8ull, 11ull, 12ull, 13ull, 4096ull, ~0ull}) {
    for (const std::size_t bytes : {1u, 2u, 4u, 8u, 64u}) {
      (void)fixture.core->config_generation();
      std::vector<std::byte> data(bytes, std::byte{1});
      fixture.core->read_config(offset, data);
      for (std::size_t i = 0; i < bytes; ++i) {
        const bool inside =
            offset < EchoDevice::kConfigBytes && i < EchoDevice::kConfigBytes - offset;
        CHECK(data[i] == (inside ? std::byte{0x5a} : std::byte{1}));
      }
      fixture.core->write_config(offset, std::vector<std::byte>(bytes, std::byte{0x5a}));
    }
  }
}

TEST_CASE("what is read under one generation was there at one moment", "[config]") {
  CoreFixture fixture;
  fixture.go();
  const std::uint32_t before = fixture.core->config_generation();
  CHECK(fixture.core->config_generation() == before);
  fixture.device->fill_config(std::byte{1});
  CHECK(fixture.core->config_generation() != before);
  CHECK(fixture.sink.config == 1);

  std::jthread device([&](const std::stop_token& stop) {
    for (unsigned i = 0; !stop.stop_requested(); ++i) {
      fixture.device->fill_config(static_cast<std::byte>(i));
    }
  });
  int consistent = 0;
  for (int i = 0; i < 2000; ++i) {
    std::array<std::byte, EchoDevice::kConfigBytes> data{};
    const std::uint32_t generation = fixture.core->config_generation();
    for (std::size_t at = 0; at < data.size(); at += 4) {
      fixture.core->read_config(at, std::span(data).subspan(at, 4));
    }
    if (fixture.core->config_generation() != generation) continue;
    ++consistent;
    REQUIRE(std::ranges::all_of(data, [&](std::byte b) { return b == data[0]; }));
  }
  CHECK(consistent >= 0);
}

TEST_CASE("a change before activation is a new generation, too", "[config]") {
  CoreFixture fixture;
  const std::uint32_t before = fixture.core->config_generation();
  fixture.device->fill_config(std::byte{7});
  CHECK(fixture.core->config_generation() == before + 1);
  CHECK(fixture.sink.config == 0);
}

TEST_CASE("a change before activation is read by drivers that know no generations", "[config]") {
  CoreFixture fixture;
  const auto read = [&fixture] {
    std::array<std::byte, 1> data{};
    fixture.core->read_config(0, data);
    return data[0];
  };
  const std::uint32_t before = fixture.core->config_generation();
  fixture.device->fill_config(std::byte{7});
  CHECK(read() == std::byte{7});
  CHECK(fixture.core->config_generation() == before + 1);
  fixture.go();
  fixture.core->set_status(0);
  fixture.device->fill_config(std::byte{8});
  CHECK(read() == std::byte{8});
}

TEST_CASE("what a device changes without a notification is read, as a new generation", "[config]") {
  CoreFixture fixture;
  fixture.go();
  const auto read = [&fixture](std::uint64_t offset) {
    std::array<std::byte, 4> data{};
    fixture.core->read_config(offset, data);
    return data;
  };
  const auto change = [&fixture](std::byte value) {
    fixture.device->write_config(0, std::vector<std::byte>(EchoDevice::kConfigBytes, value));
  };
  const auto all = [](std::byte value) { return std::array{value, value, value, value}; };
  // For drivers that do not ask for the generation, and for those that do, between two reads.
  const std::uint32_t before = fixture.core->config_generation();
  CHECK(read(0) == all(std::byte{0}));
  change(std::byte{7});
  CHECK(read(4) == all(std::byte{7}));
  const std::uint32_t after = fixture.core->config_generation();
  CHECK(after != before);
  CHECK(read(0) == all(std::byte{7}));
  CHECK(fixture.core->config_generation() == after);
  CHECK(fixture.sink.config == 0);
}

TEST_CASE("interrupts after the reset do nothing, even when the device kept them", "[config]") {
  CoreFixture fixture;
  fixture.go();
  const auto kept = fixture.device->interrupt();
  fixture.core->set_status(0);
  kept->config_changed();
  kept->needs_reset();
  CHECK(fixture.core->status() == 0);
  CHECK(fixture.sink.config == 0);
  fixture.core.reset();
  kept->config_changed();
  kept->needs_reset();
}
