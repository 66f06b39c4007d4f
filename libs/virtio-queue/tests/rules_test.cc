// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Known ways in which virtqueues went wrong elsewhere, by class, and what happens here; and the
// rules of notification, for all positions.

#include <array>
#include <catch2/catch.hpp>
#include <initializer_list>
#include <vector>

#include "rig.h"

namespace vmm::virtio_queue {
namespace {

/// What a scenario needs: a queue of this kind and what it has.
struct Scenario {
  const char* name;
  void (*run)(bool packed);
};

void buffer_bounds(bool packed) {
  Rig rig({.packed = packed});
  (void)rig.offer({readable(kRam + kRamBytes - 8, 16)});
  CHECK(rig.queue.pop(rig.chain) == Pop::kMalformed);
  CHECK(rig.chain.error() == QueueError::kBadMemory);
  CHECK(rig.chain.reader().remaining() == 0);
  // Also when memory near it was used before.
  (void)rig.offer({readable(kRam, 4)});
  CHECK(rig.queue.pop(rig.chain) == Pop::kChain);
  (void)rig.offer({readable(kRam - 1, 2)});
  CHECK(rig.queue.pop(rig.chain) == Pop::kMalformed);
  CHECK(rig.chain.error() == QueueError::kBadMemory);
}

void changes_after_activation(bool packed) {
  const GuestMemory memory = make_memory();
  QueueConfig config = config_of({.packed = packed});
  Queue queue = *config.activate(memory);
  REQUIRE(config.set_size(1));
  REQUIRE(config.set_descriptors(GuestAddress(0xffff'0000)));
  config.reset();
  CHECK(queue.size() == 8);
  CHECK(queue.refresh());
  InlineChain<8> chain;
  CHECK(queue.pop(chain) == Pop::kEmpty);
}

void same_buffer_twice(bool packed) {
  Rig rig({.packed = packed});
  const auto head = rig.offer({readable(kBuffers, 4)});
  REQUIRE(rig.queue.pop(rig.chain) == Pop::kChain);
  REQUIRE(rig.queue.add_used(head, 0));
  CHECK(rig.queue.add_used(head, 0).error() == QueueError::kNotInFlight);
  CHECK(rig.queue.complete(head, 0).error() == QueueError::kNotInFlight);
  rig.queue.publish();
  CHECK(rig.reap());
  CHECK_FALSE(rig.reap());
}

void bounded_requests(bool packed) {
  Rig rig({.packed = packed});
  for (int i = 0; i < 8; ++i) (void)rig.offer({readable(kBuffers, 4)});
  std::array<InlineChain<2>, 16> chains;
  const Popped popped = rig.queue.pop(std::span(chains));
  CHECK(popped.chains == 8);
  CHECK(popped.malformed == 0);
  CHECK(popped.end == Pop::kEmpty);
  for (std::uint32_t i = 0; i < popped.chains; ++i) {
    REQUIRE(rig.queue.add_used(chains[i].head(), 0));
  }
  rig.queue.publish();
  for (int i = 0; i < 8; ++i) CHECK(rig.reap());
}

void in_order_of_a_full_ring(bool packed) {
  Rig rig({.packed = packed, .in_order = true});
  for (int round = 0; round < 3; ++round) {
    std::vector<std::uint16_t> heads;
    for (int i = 0; i < 8; ++i) heads.push_back(rig.offer({readable(kBuffers, 4)}));
    for (int i = 0; i < 8; ++i) REQUIRE(rig.queue.pop(rig.chain) == Pop::kChain);
    CHECK(rig.queue.pop(rig.chain) == Pop::kEmpty);
    for (std::uint32_t i = 8; i-- != 0;) REQUIRE(rig.queue.add_used(heads[i], i));
    rig.queue.publish();
    for (std::uint32_t i = 0; i < 8; ++i) CHECK(rig.reap() == driver::Used{heads[i], i});
  }
}

void bounded_malformed_ones(bool packed) {
  Rig rig({.packed = packed});
  for (int i = 0; i < 8; ++i) (void)rig.offer({readable(1ull << 40, 4)});
  std::array<InlineChain<2>, 16> chains;
  const Popped popped = rig.queue.pop(std::span(chains));
  CHECK(popped.chains == 0);
  CHECK(popped.malformed == 8);
  CHECK(popped.end == Pop::kMalformed);
  CHECK(rig.queue.pop(rig.chain) == Pop::kEmpty);
}

/// Heads that the device has already fill the list of what comes back in order.
void in_order_of_more_than_the_ring(bool packed) {
  if (packed) return;  // there its descriptors are not available
  Rig rig({.size = 2, .in_order = true});
  for (int i = 0; i < 2; ++i) (void)rig.offer({readable(kBuffers, 4)});
  for (int i = 0; i < 2; ++i) REQUIRE(rig.queue.pop(rig.chain) == Pop::kChain);
  REQUIRE(rig.view().write(GuestAddress(kDriverArea + SplitAvail::kIndex), Le16(4)));
  CHECK(rig.queue.pop(rig.chain) == Pop::kBroken);
  CHECK(rig.chain.error() == QueueError::kBadAvailIndex);
}

void mapped_until_completed(bool packed) {
  Rig rig({.packed = packed});
  const GuestAddress hot(1 << 24);
  REQUIRE(rig.memory.plug({.base = hot, .bytes = 0x10000}));
  const auto head = rig.offer({writable(hot.raw(), 64)});
  REQUIRE(rig.queue.pop(rig.chain) == Pop::kChain);
  REQUIRE(rig.memory.unplug(hot, 0x10000));
  REQUIRE(rig.queue.refresh());
  CHECK(rig.chain.writer().write_obj(Le64(1)));  // unplugged, but not unmapped under us
  REQUIRE(rig.queue.complete(head, 8));
  CHECK(rig.reap());
}

/// What is noted of a buffer outlives changes of memory.
void completed_after_changes_of_memory(bool packed) {
  Rig rig({.packed = packed, .in_order = true});
  for (int round = 0; round < 5; ++round) {
    const std::vector buffers{readable(kBuffers, 4), readable(kBuffers, 4), writable(kBuffers, 4)};
    const auto head = rig.offer(buffers);
    REQUIRE(rig.queue.pop(rig.chain) == Pop::kChain);
    const GuestAddress hot(1 << 24);
    REQUIRE(rig.memory.plug({.base = hot, .bytes = 0x10000}));
    REQUIRE(rig.queue.refresh());
    REQUIRE(rig.memory.unplug(hot, 0x10000));
    REQUIRE(rig.queue.refresh());
    REQUIRE(rig.queue.complete(head, 1));
    CHECK(rig.reap() == driver::Used{head, 1});
    CHECK(rig.driver.free_descriptors() == 8);
  }
}

void unplugged_memory(bool packed) {
  Rig rig({.packed = packed});
  const GuestAddress hot(1 << 24);
  REQUIRE(rig.memory.plug({.base = hot, .bytes = 0x10000}));
  REQUIRE(rig.memory.unplug(hot, 0x10000));
  (void)rig.offer({writable(hot.raw(), 64)});
  CHECK(rig.queue.pop(rig.chain) == Pop::kMalformed);
}

void given_back_after_an_error(bool packed) {
  Rig rig({.packed = packed});
  for (int i = 0; i < 100; ++i) {
    (void)rig.offer({writable(kBuffers, 4), writable(1ull << 40, 4)});
    CHECK(rig.queue.pop(rig.chain) == Pop::kMalformed);
    rig.queue.publish();
    const auto used = rig.reap();
    REQUIRE(used);
    CHECK(used->written == 0);
    CHECK(rig.driver.free_descriptors() == 8);
  }
}

void writes_stay_in_the_buffer(bool packed) {
  Rig rig({.packed = packed});
  (void)rig.offer({writable(kBuffers, 3), writable(kBuffers + 16, 2)});
  REQUIRE(rig.queue.pop(rig.chain) == Pop::kChain);
  const std::array<std::byte, 64> ones = [] {
    std::array<std::byte, 64> bytes{};
    bytes.fill(std::byte{1});
    return bytes;
  }();
  Writer writer = rig.chain.writer();
  CHECK(writer.write_exact(ones).error() == QueueError::kEndOfChain);
  CHECK(writer.write(ones) == 5);
  CHECK(writer.write_obj(Le16(1)).error() == QueueError::kEndOfChain);
  CHECK(*rig.view().read<std::uint8_t>(GuestAddress(kBuffers + 3)) == 0);
  CHECK(*rig.view().read<std::uint8_t>(GuestAddress(kBuffers + 18)) == 0);
}

TEST_CASE("classes of known vulnerabilities", "[rules][hostile]") {
  static constexpr Scenario kScenarios[] = {
      {"1: a descriptor reaches beyond memory", &buffer_bounds},
      {"2, 5: size or addresses change after activation", &changes_after_activation},
      {"4: one buffer is in flight twice, or completed twice", &same_buffer_twice},
      {"7: more requests than the ring holds", &bounded_requests},
      {"7: more malformed ones than the ring holds", &bounded_malformed_ones},
      {"9: the order of a full ring", &in_order_of_a_full_ring},
      {"9: the order of more than a full ring", &in_order_of_more_than_the_ring},
      {"11: unplugged memory stays reachable", &unplugged_memory},
      {"12: a buffer is used after its mapping went", &mapped_until_completed},
      {"12: the same in order, with several descriptors", &completed_after_changes_of_memory},
      {"13: an element is not given back on an error", &given_back_after_an_error},
      {"18: a device writes past the buffer", &writes_stay_in_the_buffer},
  };
  for (const Scenario& scenario : kScenarios) {
    for (const bool packed : {false, true}) {
      CAPTURE(scenario.name, packed);
      scenario.run(packed);
    }
  }
}

TEST_CASE("chains of more than 2^32 - 1 bytes are refused", "[hostile]") {
  const bool packed = GENERATE(false, true);
  const RegionConfig ram{.base = GuestAddress(0), .bytes = std::uint64_t{3} << 30};
  const GuestMemory memory = *GuestMemory::create({&ram, 1});
  const Kind kind{.size = 8, .packed = packed};
  Queue queue = *config_of(kind).activate(memory);
  auto driver = *driver::Driver::create(shape_of(kind), memory.view());
  InlineChain<8> chain;
  REQUIRE(driver.add(std::vector{readable(0x100000, 0x80000000), writable(0x100000, 0x80000000)}));
  (void)driver.publish();
  CHECK(queue.pop(chain) == Pop::kMalformed);
  CHECK(chain.error() == QueueError::kTooLong);
  REQUIRE(driver.add(std::vector{readable(0x100000, 0x80000000), writable(0x100000, 0x7fffffff)}));
  (void)driver.publish();
  CHECK(queue.pop(chain) == Pop::kChain);
  CHECK(chain.readable_bytes() == 0x80000000);
  CHECK(chain.writable_bytes() == 0x7fffffff);
}

// For each of the 2^16 events: `steps` that end at `now` pass it from exactly one number of steps
// on. With the shift of notification_test.cc that is all there is to know.
TEST_CASE("each event is passed from the step over it on, at all 2^16 positions",
          "[rules][notification]") {
  bool right = true;
  for (std::uint32_t event = 0; event < 65536; ++event) {
    for (const std::uint16_t now :
         std::initializer_list<std::uint16_t>{0, 1, 0x7fff, 0x8000, 0xffff}) {
      const auto at = static_cast<std::uint16_t>(event);
      const std::uint32_t first = ((now - event - 1u) & 0xffff) + 1;
      right &= !event_in_last(at, now, 0) && !event_in_last(at, now, first - 1);
      right &= event_in_last(at, now, first) && event_in_last(at, now, first + 1);
      right &= event_in_last(at, now, 0x10000) && event_in_last(at, now, ~std::uint64_t{0});
      const auto before = static_cast<std::uint16_t>(now - first);
      right &= event_passed(at, now, before) == (first != 0x10000);
    }
  }
  CHECK(right);
}

TEST_CASE("the same in the largest packed ring, with its wrap counter", "[rules][notification]") {
  constexpr std::uint32_t kSize = kMaxQueueSize;
  bool right = true;
  for (const std::uint16_t bits :
       std::initializer_list<std::uint16_t>{0, 0x8000, 0x8001, 0x7fff, 0xffff}) {
    const RingPosition now = RingPosition::from_bits(bits);
    RingPosition event = now;  // goes around twice
    for (std::uint32_t ahead = 0; ahead < 2 * kSize; ++ahead) {
      const std::uint32_t first = 2 * kSize - ahead;
      right &= !packed_event_passed(event, now, first - 1, kSize);
      right &= packed_event_passed(event, now, first, kSize);
      right &= packed_event_passed(event, now, ~std::uint64_t{0}, kSize);
      event.advance(1, kSize);
    }
    right &= event == now;
  }
  CHECK(right);
}

}  // namespace
}  // namespace vmm::virtio_queue
