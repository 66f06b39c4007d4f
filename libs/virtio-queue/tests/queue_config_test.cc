// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/queue_config.h"

#include <array>
#include <catch2/catch.hpp>

#include "errors.h"
#include "rig.h"

namespace vmm::virtio_queue {
namespace {

TEST_CASE("the maximum size is a power of two up to 32768", "[config]") {
  constexpr std::array<std::uint16_t, 4> kGood{1, 2, 256, 32768};
  constexpr std::array<std::uint16_t, 6> kBad{0, 3, 15, 257, 32769, 65535};
  for (const std::uint16_t size : kGood) CHECK(QueueConfig::create(size));
  for (const std::uint16_t size : kBad) {
    CHECK(QueueConfig::create(size).error() == QueueError::kBadSize);
  }
}

TEST_CASE("a bad size is refused and the old one kept", "[config][hostile]") {
  QueueConfig config = *QueueConfig::create(16);
  CHECK(config.set_size(8));
  for (const std::uint32_t size : {0u, 3u, 5u, 32u, 0x10008u, 0xffffffffu}) {
    CHECK(config.set_size(size).error() == QueueError::kBadSize);
    CHECK(config.size() == 8);
  }
  config.set_features(kFeaturePacked);
  CHECK(config.set_size(5));  // 2.8.10.1: any size
  CHECK_FALSE(config.set_size(0));
  CHECK_FALSE(config.set_size(17));
}

TEST_CASE("misaligned addresses are refused and the old ones kept", "[config][hostile]") {
  QueueConfig config = *QueueConfig::create(16);
  REQUIRE(config.set_descriptors(GuestAddress(0x2000)));
  REQUIRE(config.set_driver(GuestAddress(0x3000)));
  REQUIRE(config.set_device(GuestAddress(0x4000)));
  const RingAddresses before = config.rings();
  for (const std::uint64_t off : {1ull, 2ull, 4ull, 8ull, 15ull}) {
    CHECK(config.set_descriptors(GuestAddress(0x2000 + off)).error() == QueueError::kMisaligned);
  }
  CHECK(config.set_driver(GuestAddress(0x3001)).error() == QueueError::kMisaligned);
  for (const std::uint64_t off : {1ull, 2ull, 3ull}) {
    CHECK(config.set_device(GuestAddress(0x4000 + off)).error() == QueueError::kMisaligned);
  }
  CHECK(config.rings() == before);
  CHECK(config.set_driver(GuestAddress(0x3002)));
  config.set_features(kFeaturePacked);
  CHECK_FALSE(config.set_driver(GuestAddress(0x3002)));
}

TEST_CASE("a queue says what it was made from", "[config]") {
  const bool packed = GENERATE(false, true);
  const vm_memory::RegionConfig ram{.base = GuestAddress(0), .bytes = 0x10000};
  const auto memory = *vm_memory::GuestMemory::create({&ram, 1});
  QueueConfig config = *QueueConfig::create(16);
  config.set_features(kFeatureEventIdx | (packed ? kFeaturePacked : 0));
  REQUIRE(config.set_size(8));
  REQUIRE(config.set_descriptors(GuestAddress(0x2000)));
  REQUIRE(config.set_driver(GuestAddress(0x3000)));
  REQUIRE(config.set_device(GuestAddress(0x4000)));
  config.set_ready(true);
  const auto queue = config.activate(memory);
  REQUIRE(queue);
  CHECK(queue->shape().rings == config.rings());
  CHECK(queue->shape().size == 8);
  CHECK(queue->shape().packed == packed);
  CHECK(queue->shape().event_idx);
  CHECK_FALSE(queue->shape().in_order);
}

TEST_CASE("addresses are set in halves", "[config]") {
  using Half = QueueConfig::Half;
  QueueConfig config = *QueueConfig::create(16);
  CHECK(config.set_descriptors(Half::kLow, 0x12345670));
  CHECK(config.set_descriptors(Half::kHigh, 0x9abcdef0));
  CHECK(config.rings().descriptors == GuestAddress(0x9abcdef012345670));
  CHECK_FALSE(config.set_descriptors(Half::kLow, 0x1));
  CHECK(config.rings().descriptors == GuestAddress(0x9abcdef012345670));
  CHECK(config.set_driver(Half::kLow, 0x2));
  CHECK(config.set_driver(Half::kHigh, 0x1));
  CHECK(config.rings().driver == GuestAddress(0x1'0000'0002));
  CHECK(config.set_device(Half::kHigh, 0x1));
  CHECK(config.set_device(Half::kLow, 0x4));
  CHECK(config.rings().device == GuestAddress(0x1'0000'0004));
}

TEST_CASE("a queue is valid when it is ready and its rings are in RAM", "[config][hostile]") {
  struct Case {
    const char* name;
    std::uint64_t descriptors, driver, device;
    bool ready;
    std::optional<QueueError> error;
  };
  const std::uint64_t end = kRam + kRamBytes;
  const auto c = GENERATE_COPY(values<Case>({
      {"all in RAM", kTable, kDriverArea, kDeviceArea, true, {}},
      {"not ready", kTable, kDriverArea, kDeviceArea, false, QueueError::kNotReady},
      {"ready without addresses", 0, 0, 0, true, QueueError::kRingNotMapped},
      {"table ends with RAM", end - 128, kDriverArea, kDeviceArea, true, {}},
      {"table passes the end", end - 112, kDriverArea, kDeviceArea, true,
       QueueError::kRingNotMapped},
      {"available ring ends with RAM", kTable, end - 22, kDeviceArea, true, {}},
      {"available ring passes the end", kTable, end - 20, kDeviceArea, true,
       QueueError::kRingNotMapped},
      {"used ring as near to the end as can be", kTable, kDriverArea, end - 72, true, {}},
      {"used ring passes the end", kTable, kDriverArea, end - 68, true, QueueError::kRingNotMapped},
      {"table at the end of all", ~std::uint64_t{15}, kDriverArea, kDeviceArea, true,
       QueueError::kRingNotMapped},
  }));
  CAPTURE(c.name);
  const GuestMemory memory = make_memory();
  QueueConfig config = *QueueConfig::create(8);
  REQUIRE(config.set_descriptors(GuestAddress(c.descriptors)));
  REQUIRE(config.set_driver(GuestAddress(c.driver)));
  REQUIRE(config.set_device(GuestAddress(c.device)));
  config.set_ready(c.ready);
  const auto valid = config.validate(memory.view());
  const auto queue = config.activate(memory);
  CHECK(valid.has_value() == !c.error);
  CHECK(queue.has_value() == !c.error);
  if (c.error && !valid) CHECK(valid.error() == *c.error);
  if (c.error && !queue) CHECK(queue.error() == *c.error);
}

TEST_CASE("rings are aligned in the guest, and in the host", "[config][hostile]") {
  const bool packed = GENERATE(false, true);
  // What is aligned on one side is not on the other.
  const RegionConfig ram{.base = GuestAddress(0x1008), .bytes = 0x8000};
  const GuestMemory memory = *GuestMemory::create({&ram, 1});
  const QueueShape odd = {
      .rings = {GuestAddress(0x2008), GuestAddress(0x3008), GuestAddress(0x4008)},
      .size = 8,
      .packed = packed};
  CHECK(Queue::create(odd, memory, Queue::start_position(packed)).error() ==
        QueueError::kMisaligned);
  QueueShape even = odd;
  even.rings.descriptors = GuestAddress(0x2010);
  CHECK(Queue::create(even, memory, Queue::start_position(packed)).error() ==
        QueueError::kMisaligned);
}

TEST_CASE("a size that fits packed rings only does not activate a split one", "[config][hostile]") {
  const GuestMemory memory = make_memory();
  QueueConfig config = config_of({.size = 5, .packed = true});
  config.set_features(0);
  CHECK(config.activate(memory).error() == QueueError::kBadSize);
}

TEST_CASE("reset forgets all but the maximum size", "[config]") {
  QueueConfig config = config_of({.size = 8});
  config.reset();
  CHECK_FALSE(config.ready());
  CHECK(config.size() == kMaxQueueSize);
  CHECK(config.rings() == RingAddresses{});
  const GuestMemory memory = make_memory();
  CHECK(config.activate(memory).error() == QueueError::kNotReady);
  config.set_ready(true);
  CHECK(config.activate(memory).error() == QueueError::kRingNotMapped);
}

TEST_CASE("a saved configuration comes back, and others are refused", "[config][hostile]") {
  const QueueConfig config = config_of({.size = 8, .event_idx = true});
  const auto back = QueueConfig::restore(config.state());
  REQUIRE(back);
  CHECK(back->state() == config.state());
  const auto refused = [&](auto change) {
    QueueConfigState state = config.state();
    change(state);
    const auto result = QueueConfig::restore(state);
    return !result && result.error() == QueueError::kBadState;
  };
  CHECK(refused([](auto& state) { state.max_size = 0; }));
  CHECK(refused([](auto& state) { state.max_size = 15; }));
  CHECK(refused([](auto& state) { state.max_size = 4; }));
  CHECK(refused([](auto& state) { state.size = 0; }));
  CHECK(refused([](auto& state) { state.size = 7; }));
  CHECK(refused([](auto& state) { state.rings.descriptors = GuestAddress(8); }));
  CHECK(refused([](auto& state) { state.rings.driver = GuestAddress(1); }));
  CHECK(refused([](auto& state) { state.rings.device = GuestAddress(2); }));
}

TEST_CASE("a saved configuration may be of before the kind of ring was agreed on", "[config]") {
  const GuestMemory memory = make_memory();
  for (const bool packed : {false, true}) {
    CAPTURE(packed);
    QueueConfig config = *QueueConfig::create(16);
    config.set_features(packed ? 0 : kFeaturePacked);
    REQUIRE(config.set_size(packed ? 8 : 7));
    REQUIRE(config.set_driver(GuestAddress(packed ? 0x1002 : 0x1004)));
    config.set_features(packed ? kFeaturePacked : 0);
    auto back = QueueConfig::restore(config.state());
    REQUIRE(back);
    CHECK(back->state() == config.state());
    back->set_ready(true);
    CHECK_FALSE(back->activate(memory));
    CHECK_FALSE(QueueConfig::restore(back->state()));
  }
  QueueConfigState state = QueueConfig::create(16)->state();
  for (const std::uint16_t size : std::array<std::uint16_t, 2>{0, 17}) {
    state.size = size;
    CHECK(QueueConfig::restore(state).error() == QueueError::kBadState);
  }
}

TEST_CASE("a saved position is checked against the ring", "[config][hostile]") {
  const GuestMemory memory = make_memory();
  const auto split = [&](std::uint16_t avail, std::uint16_t used) {
    return config_of({.size = 8}).activate(memory, {avail, used}).has_value();
  };
  CHECK(split(0, 0));
  CHECK(split(8, 0));
  CHECK(split(3, 65533));
  CHECK_FALSE(split(9, 0));
  CHECK_FALSE(split(0, 1));
  const auto packed = [&](RingPosition avail, RingPosition used) {
    return config_of({.size = 5, .packed = true})
        .activate(memory, {avail.bits(), used.bits()})
        .has_value();
  };
  CHECK(packed({4, true}, {0, true}));
  CHECK(packed({0, false}, {0, true}));  // all in flight
  CHECK(packed({1, false}, {4, true}));
  CHECK_FALSE(packed({5, true}, {0, true}));
  CHECK_FALSE(packed({0, true}, {5, true}));
  CHECK_FALSE(packed({0, false}, {5, true}));
  CHECK_FALSE(packed({1, true}, {2, true}));
  CHECK_FALSE(packed({2, false}, {1, true}));
}

TEST_CASE("every error has a text", "[config]") { check_words(QueueError::kSplitOutOfBounds); }

}  // namespace
}  // namespace vmm::virtio_queue
