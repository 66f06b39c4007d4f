// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/notification.h"

#include <array>
#include <catch2/catch.hpp>
#include <random>
#include <vector>

#include "rig.h"

namespace vmm::virtio_queue {
namespace {

TEST_CASE("an event is passed exactly by the steps over it, at all 2^16 positions",
          "[notification]") {
  const std::uint32_t added = GENERATE(0u, 1u, 2u, 3u, 255u, 256u, 32767u, 32768u, 65534u, 65535u);
  for (const std::uint32_t before : {0u, 1u, 0x7fffu, 0x8000u, 0xfffeu, 0xffffu}) {
    std::vector<bool> passed(65536);
    for (std::uint32_t i = 0; i < added; ++i) passed[(before + i) & 0xffff] = true;
    bool same = true;
    for (std::uint32_t event = 0; event < 65536; ++event) {
      same &= event_passed(static_cast<std::uint16_t>(event),
                           static_cast<std::uint16_t>(before + added),
                           static_cast<std::uint16_t>(before)) == passed[event];
    }
    CHECK(same);
  }
}

TEST_CASE("a shift of all three numbers changes nothing", "[notification]") {
  constexpr std::array<std::uint16_t, 5> kAdded{0, 1, 7, 256, 65535};
  constexpr std::array<std::uint16_t, 9> kEvents{0, 1, 6, 7, 8, 255, 256, 65534, 65535};
  bool same = true;
  for (std::uint32_t shift = 0; shift < 65536; ++shift) {
    for (const std::uint16_t added : kAdded) {
      for (const std::uint16_t event : kEvents) {
        same &=
            event_passed(event, added, 0) == event_passed(static_cast<std::uint16_t>(event + shift),
                                                          static_cast<std::uint16_t>(added + shift),
                                                          static_cast<std::uint16_t>(shift));
      }
    }
  }
  CHECK(same);
}

TEST_CASE("in a packed ring an event is passed by the steps over it, for all small rings",
          "[notification][packed]") {
  bool same = true;
  for (std::uint32_t size = 1; size <= 9; ++size) {
    for (std::uint32_t start = 0; start < 2 * size; ++start) {
      RingPosition from;
      from.advance(start % size, size);
      if (start >= size) from.wrap = !from.wrap;
      for (std::uint32_t steps = 1; steps <= 2 * size; ++steps) {
        RingPosition now = from;
        std::vector<RingPosition> over;
        for (std::uint32_t i = 0; i < steps; ++i) {
          over.push_back(now);
          now.advance(1, size);
        }
        for (std::uint32_t at = 0; at < 2 * size; ++at) {
          const RingPosition event{static_cast<std::uint16_t>(at % size), at < size};
          const bool passed = std::find(over.begin(), over.end(), event) != over.end();
          same &= packed_event_passed(event, now, steps, size) == passed;
        }
      }
    }
  }
  CHECK(same);
}

TEST_CASE("hostile packed events get an answer", "[notification][packed][hostile]") {
  for (std::uint32_t bits = 0; bits < 65536; ++bits) {
    (void)packed_event_passed(RingPosition::from_bits(static_cast<std::uint16_t>(bits)),
                              {.offset = 3, .wrap = true}, 2, 4);
  }
}

TEST_CASE("positions and notification data survive their bits", "[notification]") {
  for (const bool wrap : {false, true}) {
    for (const std::uint16_t offset : std::array<std::uint16_t, 3>{0, 1, 0x7fff}) {
      const RingPosition position{offset, wrap};
      CHECK(RingPosition::from_bits(position.bits()) == position);
    }
  }
  const auto data = NotificationData::parse(0x8005'0002);
  CHECK(data.queue == 2);
  CHECK(data.next == 0x8005);
  CHECK(data.position() == RingPosition{5, true});
  CHECK(data.bits() == 0x8005'0002);
}

/// Completes one buffer after the other, for one turn of the index and more, and says at which
/// values of next_used a notification was wanted.
std::vector<std::uint32_t> notified_at(std::uint16_t used_event, std::uint16_t start) {
  const Kind kind{.size = 4, .event_idx = true};
  const GuestMemory memory = make_memory();
  Queue queue = *config_of(kind).activate(memory, {start, start});
  (void)queue.needs_notification();  // a restored queue says yes once
  REQUIRE(
      memory.view().write(GuestAddress(kDriverArea + SplitAvail::used_event(4)), Le16(used_event)));
  std::vector<std::uint32_t> at;
  for (std::uint32_t i = 1; i <= 65536; ++i) {
    REQUIRE(queue.adopt(1));
    REQUIRE(queue.add_used(1, 0));
    queue.publish();
    if (queue.needs_notification()) at.push_back((start + i) & 0xffff);
    if (queue.needs_notification()) at.push_back(0xbad);
  }
  return at;
}

TEST_CASE("with EVENT_IDX one of 65536 completions notifies: the one after used_event",
          "[notification]") {
  for (const std::uint16_t event :
       std::array<std::uint16_t, 8>{0, 1, 4, 0x7fff, 0x8000, 65532, 65534, 65535}) {
    for (const std::uint16_t start : std::array<std::uint16_t, 2>{0, 65533}) {
      CAPTURE(event, start);
      CHECK(notified_at(event, start) == std::vector<std::uint32_t>{(event + 1u) & 0xffff});
    }
  }
}

/// Completes `count` single buffers, in one batch or one by one, and says whether one asks.
bool completes(Queue& queue, std::uint32_t count, bool batch) {
  for (std::uint32_t i = 0; i < count; ++i) {
    REQUIRE(queue.adopt(0));
    const auto done = batch ? queue.add_used(0, 16) : queue.complete(0, 16);
    REQUIRE(done);
  }
  queue.publish();
  return queue.needs_notification();
}

TEST_CASE("a packed queue decides by the definition, over any number of turns",
          "[notification][packed]") {
  const std::uint16_t size = GENERATE(as<std::uint16_t>(), 1, 2, 3, 8, 255);
  const bool event_idx = GENERATE(true, false);
  CAPTURE(size, event_idx);
  const GuestMemory memory = make_memory();
  Queue queue = *config_of({.size = size, .packed = true, .event_idx = event_idx}).activate(memory);
  std::minstd_rand source(size);
  const auto random = [&](std::uint32_t below) {
    return static_cast<std::uint32_t>(source() % below);
  };
  RingPosition now;
  for (int round = 0; round < 4000; ++round) {
    const auto at = static_cast<std::uint16_t>(random(size) | (random(2) << 15));
    const std::uint32_t flags = random(8) < 5 ? kEventsDescriptor : random(4);
    const std::uint32_t reserved = random(8) == 0 ? 4 : 0;
    REQUIRE(memory.view().write(GuestAddress(kDriverArea), Le32(at | (flags | reserved) << 16)));
    const std::uint32_t count = random(16) == 0 ? random(5u * size) : random(4);
    for (std::uint32_t i = 0; i < count; ++i) now.advance(1, size);
    bool wanted = false;
    if (count != 0) {
      wanted = flags == kEventsDescriptor && event_idx
                   ? packed_event_passed(RingPosition::from_bits(at), now, count, size)
                   : flags != kEventsDisable;
    }
    CAPTURE(round, at, flags, count, now.offset, now.wrap);
    REQUIRE(completes(queue, count, random(2) == 0) == wanted);
    REQUIRE(queue.position().next_used == now.bits());
    REQUIRE_FALSE(queue.needs_notification());
  }
}

TEST_CASE("what is not published does not count, and is not forgotten", "[notification][packed]") {
  Rig rig({.size = 4, .packed = true, .event_idx = true});
  if (GENERATE(false, true)) (void)completes(rig.queue, 3, true);  // the ring ends in the batch
  REQUIRE(rig.queue.adopt(1, 2));
  REQUIRE(rig.queue.add_used(1, 16));
  CHECK_FALSE(rig.queue.needs_notification());
  rig.queue.publish();
  CHECK(rig.queue.needs_notification());
  CHECK_FALSE(rig.queue.needs_notification());
}

TEST_CASE("a batch is one decision", "[notification]") {
  const bool packed = GENERATE(false, true);
  Rig rig({.size = 8, .packed = packed, .event_idx = true});
  CHECK_FALSE(rig.queue.needs_notification());
  for (int i = 0; i < 5; ++i) rig.offer({readable(kBuffers, 16)});
  for (int i = 0; i < 5; ++i) {
    REQUIRE(rig.queue.pop(rig.chain) == Pop::kChain);
    REQUIRE(rig.queue.add_used(rig.chain.head(), 0));
  }
  CHECK_FALSE(rig.reap());  // nothing was published
  rig.queue.publish();
  CHECK(rig.queue.needs_notification());
  CHECK_FALSE(rig.queue.needs_notification());
  for (int i = 0; i < 5; ++i) CHECK(rig.reap());
  CHECK_FALSE(rig.reap());
}

TEST_CASE("the driver's flags suppress interrupts without EVENT_IDX", "[notification]") {
  const bool packed = GENERATE(false, true);
  Rig rig({.size = 8, .packed = packed});
  const auto round = [&] {
    rig.offer({readable(kBuffers, 16)});
    REQUIRE(rig.queue.pop(rig.chain) == Pop::kChain);
    REQUIRE(rig.queue.add_used(rig.chain.head(), 0));
    rig.queue.publish();
    CHECK(rig.reap());
    return rig.queue.needs_notification();
  };
  CHECK(round());
  rig.driver.disable_interrupts();
  CHECK_FALSE(round());
  CHECK_FALSE(rig.driver.enable_interrupts());
  CHECK(round());
}

TEST_CASE("the device suppresses kicks, and looks again when it enables them", "[notification]") {
  const bool packed = GENERATE(false, true);
  const bool event_idx = GENERATE(false, true);
  CAPTURE(packed, event_idx);
  Rig rig({.size = 8, .packed = packed, .event_idx = event_idx});
  CHECK_FALSE(rig.queue.enable_notifications());
  REQUIRE(rig.driver.add(std::vector{readable(kBuffers, 1)}));
  CHECK(rig.driver.publish());
  rig.queue.disable_notifications();
  REQUIRE(rig.driver.add(std::vector{readable(kBuffers, 1)}));
  CHECK_FALSE(rig.driver.publish());
  CHECK(rig.queue.enable_notifications());  // two came meanwhile
  REQUIRE(rig.queue.pop(rig.chain) == Pop::kChain);
  CHECK(rig.queue.enable_notifications());
  REQUIRE(rig.queue.pop(rig.chain) == Pop::kChain);
  CHECK_FALSE(rig.queue.enable_notifications());
  REQUIRE(rig.driver.add(std::vector{readable(kBuffers, 1)}));
  CHECK(rig.driver.publish());
}

TEST_CASE("a restored queue notifies once more than it must", "[notification]") {
  const bool packed = GENERATE(false, true);
  const GuestMemory memory = make_memory();
  const std::uint16_t at = packed ? 0x8003 : 3;
  const Kind kind{.size = 8, .packed = packed, .event_idx = true};
  Queue queue = *config_of(kind).activate(memory, {at, at});
  CHECK(queue.needs_notification());
  CHECK_FALSE(queue.needs_notification());
}

}  // namespace
}  // namespace vmm::virtio_queue
