// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// What a driver may do at each status of the device, and RING_RESET.

#include <array>
#include <catch2/catch.hpp>

#include "core_fixture.h"

using namespace vmm;
using namespace vmm::virtio_device;

namespace {

constexpr std::uint8_t kA = kAcknowledge;
constexpr std::uint8_t kAD = kAcknowledge | kDriver;
constexpr std::uint8_t kADF = kAcknowledge | kDriver | kFeaturesOk;
constexpr std::uint8_t kRun = CoreFixture::kRunning;
constexpr std::uint64_t kFeatures = kFeatureVersion1 | virtio_queue::kFeatureRingReset;

// Makes the ring invalid, so that the device asks for a reset.
void break_ring(CoreFixture& fixture, std::uint32_t queue) {
  const GuestAddress index(CoreFixture::rings(queue).driver.raw() + 2);
  (void)fixture.memory.view().write(index, Le16(1000));
  fixture.core->kick(queue);
  fixture.run();
}

struct State {
  const char* name;
  std::uint8_t steps;  // up to here
  bool failed = false;
  bool needs_reset = false;

  [[nodiscard]] bool is(std::uint8_t status) const { return steps == status && !failed; }
};

constexpr std::array<State, 11> kStates{{{"reset", 0},
                                         {"ACKNOWLEDGE", kA},
                                         {"DRIVER", kAD},
                                         {"FEATURES_OK", kADF},
                                         {"DRIVER_OK", kRun},
                                         {"FAILED at first", 0, true},
                                         {"FAILED after ACKNOWLEDGE", kA, true},
                                         {"FAILED after DRIVER", kAD, true},
                                         {"FAILED after FEATURES_OK", kADF, true},
                                         {"FAILED after DRIVER_OK", kRun, true},
                                         {"NEEDS_RESET", kRun, false, true}}};

// Queue 0 of a running device is enabled, queue 1 never is.
void bring_to(CoreFixture& fixture, const State& state) {
  TransportCore& core = *fixture.core;
  if (state.steps >= kA) core.set_status(kA);
  if (state.steps >= kAD) core.set_status(kAD);
  if (state.steps >= kADF) {
    core.set_driver_features(0, static_cast<std::uint32_t>(kFeatures));
    core.set_driver_features(1, static_cast<std::uint32_t>(kFeatures >> 32));
    core.set_status(kADF);
  }
  if (state.steps == kRun) {
    fixture.set_up_queue(0);
    core.set_status(kRun);
  }
  if (state.needs_reset) break_ring(fixture, 0);
  if (state.failed) core.set_status(state.steps | kFailed);
}

unsigned status_of(const State& state) {
  return state.steps | (state.failed ? unsigned{kFailed} : 0u) |
         (state.needs_reset ? unsigned{kNeedsReset} : 0u);
}

}  // namespace

TEST_CASE("each status write at each status, FAILED and NEEDS_RESET as well", "[status][hostile]") {
  for (const State& state : kStates) {
    for (unsigned value = 0; value < 256; ++value) {
      CoreFixture fixture;
      bring_to(fixture, state);
      CAPTURE(state.name, value);
      REQUIRE(unsigned{fixture.core->status()} == status_of(state));
      fixture.core->set_status(static_cast<std::uint8_t>(value));
      const unsigned told = value & ~unsigned{kNeedsReset};
      unsigned expected = status_of(state);
      if (value == 0) {
        expected = 0;
      } else if ((told & kFailed) != 0) {
        expected |= kFailed;
      } else if ((state.is(0) && (told == kA || told == kAD)) || (state.is(kA) && told == kAD) ||
                 (state.is(kADF) && told == kRun)) {
        expected = told;
      }
      CHECK(unsigned{fixture.core->status()} == expected);
      CHECK(fixture.core->active() == ((expected & kDriverOk) != 0));
      const bool ran = state.steps == kRun || (expected & kDriverOk) != 0;
      CHECK(fixture.device->activations() == (ran ? 1 : 0));
      CHECK(fixture.device->resets() == (state.steps == kRun && value == 0 ? 1 : 0));
      CHECK((fixture.device->chosen() != 0) == ((expected & kFeaturesOk) != 0));
    }
  }
}

TEST_CASE("what a driver may change at each status", "[status][hostile]") {
  for (const State& state : kStates) {
    CAPTURE(state.name);
    CoreFixture fixture;
    bring_to(fixture, state);
    TransportCore& core = *fixture.core;
    const std::uint32_t before = core.driver_features(0);
    core.set_driver_features(0, before ^ 8);
    CHECK((core.driver_features(0) != before) == state.is(kAD));
    CHECK((core.editable_queue(1) != nullptr) == state.is(kADF));
    fixture.set_up_queue(1);
    CHECK(core.queue(1)->ready() == state.is(kADF));
    core.disable_queue(1);
    CHECK_FALSE(core.queue(1)->ready());
    if (state.steps == kRun) {
      CHECK(core.editable_queue(0) == nullptr);
      core.disable_queue(0);
      CHECK(core.queue(0)->ready() == state.failed);
    }
    CHECK(unsigned{core.status()} == status_of(state));
  }
}

TEST_CASE("a queue is reset from FEATURES_OK on, until FAILED", "[ring-reset][hostile]") {
  for (const State& state : kStates) {
    CAPTURE(state.name);
    CoreFixture fixture;
    bring_to(fixture, state);
    if (state.is(kADF)) fixture.set_up_queue(0);
    const bool ready = fixture.core->queue(0)->ready();
    fixture.core->reset_queue(0);
    const bool may = (state.steps == kRun && !state.failed) || state.is(kADF);
    CHECK(fixture.core->queue(0)->ready() == (ready && !may));
    CHECK((fixture.core->editable_queue(0) != nullptr) == may);
    CHECK(unsigned{fixture.core->status()} == status_of(state));
    fixture.core->set_status(0);
    CHECK(fixture.device->workers() == 0);
  }
}

TEST_CASE("a queue that was reset stays locked after FAILED", "[ring-reset][hostile]") {
  CoreFixture fixture;
  fixture.go(kFeatures);
  fixture.core->reset_queue(0);
  REQUIRE(fixture.core->editable_queue(0) != nullptr);
  fixture.core->set_status(kRun | kFailed);
  CHECK(fixture.core->editable_queue(0) == nullptr);
  fixture.set_up_queue(0);
  CHECK_FALSE(fixture.core->queue(0)->ready());
}

TEST_CASE("a queue starts again with another size and other rings", "[ring-reset]") {
  for (const bool packed : {false, true}) {
    CoreFixture fixture;
    fixture.go(kFeatures | (packed ? virtio_queue::kFeaturePacked : 0));
    for (std::uint16_t size = 1; size <= 16; size = static_cast<std::uint16_t>(size * 2)) {
      fixture.core->reset_queue(0);
      fixture.core->reset_queue(0);  // once more does no harm
      virtio_queue::QueueConfig* const queue = fixture.core->editable_queue(0);
      REQUIRE(queue != nullptr);
      const virtio_queue::RingAddresses rings{
          .descriptors = GuestAddress(0x3'0000u + size * 0x1000u),
          .driver = GuestAddress(0x5'0000),
          .device = GuestAddress(0x6'0000)};
      REQUIRE(queue->set_size(size));
      REQUIRE(queue->set_descriptors(rings.descriptors));
      REQUIRE(queue->set_driver(rings.driver));
      REQUIRE(queue->set_device(rings.device));
      auto driver = *virtio_queue::driver::Driver::create(
          {.rings = rings, .size = size, .packed = packed}, fixture.memory.view());
      fixture.core->enable_queue(0);
      REQUIRE(fixture.core->queue(0)->ready());
      const virtio_queue::driver::Buffer buffer{.address = GuestAddress(0x2'0000), .length = 8};
      REQUIRE(driver.add({&buffer, 1}));
      (void)driver.publish();
      fixture.core->kick(0);
      fixture.run();
      const auto used = driver.reap();
      REQUIRE(used);
      CHECK(used->has_value());
    }
  }
}

TEST_CASE("a ring that was broken works again after the reset of its queue",
          "[ring-reset][hostile]") {
  CoreFixture fixture;
  fixture.go(kFeatures);
  break_ring(fixture, 0);
  CHECK(fixture.core->status() == (kRun | kNeedsReset));
  fixture.core->reset_queue(0);
  auto driver = fixture.driver(0);
  fixture.set_up_queue(0);
  const virtio_queue::driver::Buffer buffer{.address = GuestAddress(0x2'0000), .length = 8};
  REQUIRE(driver.add({&buffer, 1}));
  (void)driver.publish();
  fixture.core->kick(0);
  fixture.run();
  CHECK(fixture.device->served() == 1);
  CHECK(fixture.core->status() == (kRun | kNeedsReset));  // the device's reset is still asked for
}
