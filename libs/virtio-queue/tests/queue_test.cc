// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/queue.h"

#include <catch2/catch.hpp>
#include <vector>

#include "rig.h"

namespace vmm::virtio_queue {
namespace {

using driver::Used;

TEST_CASE("a chain goes to the device and comes back", "[queue]") {
  const bool packed = GENERATE(false, true);
  const bool indirect = GENERATE(false, true);
  CAPTURE(packed, indirect);
  Rig rig({.size = 8, .packed = packed});
  REQUIRE(rig.queue.pop(rig.chain) == Pop::kEmpty);
  CHECK_FALSE(rig.queue.needs_notification());
  const std::vector buffers{readable(kBuffers, 16), readable(kBuffers + 0x100, 4),
                            writable(kBuffers + 0x200, 512), writable(kBuffers + 0x800, 1)};
  const auto token = indirect ? rig.driver.add_indirect(buffers, GuestAddress(kIndirect + 1))
                              : rig.driver.add(buffers);
  REQUIRE(token);
  CHECK(rig.queue.pop(rig.chain) == Pop::kEmpty);  // not published
  (void)rig.driver.publish();
  REQUIRE(rig.queue.pop(rig.chain) == Pop::kChain);
  CHECK(rig.chain.head() == *token);
  CHECK(rig.chain.readable_bytes() == 20);
  CHECK(rig.chain.writable_bytes() == 513);
  CHECK(rig.chain.unsafe_readable().size() == 2);
  CHECK(rig.chain.unsafe_writable().size() == 2);
  CHECK(rig.queue.pop(rig.chain) == Pop::kEmpty);
  REQUIRE(rig.queue.add_used(*token, 513));
  rig.queue.publish();
  CHECK(rig.reap() == Used{*token, 513});
  CHECK(rig.driver.free_descriptors() == 8);
}

TEST_CASE("rings of each small size turn around, with chains of each length", "[queue][packed]") {
  const bool packed = GENERATE(false, true);
  const auto size = static_cast<std::uint16_t>(GENERATE(1, 2, 3, 4, 5, 7, 8));
  if (!packed && (size & (size - 1)) != 0) return;
  for (std::uint16_t length = 1; length <= size; ++length) {
    CAPTURE(packed, size, length);
    Rig rig({.size = size, .packed = packed, .event_idx = true});
    const std::vector<driver::Buffer> buffers(length, readable(kBuffers, 4));
    for (int round = 0; round < 5 * size; ++round) {
      std::vector<std::uint16_t> tokens;
      while (rig.driver.free_descriptors() >= length) tokens.push_back(rig.offer(buffers));
      for (const std::uint16_t token : tokens) {
        REQUIRE(rig.queue.pop(rig.chain) == Pop::kChain);
        REQUIRE(rig.chain.head() == token);
        REQUIRE(rig.chain.readable_bytes() == 4u * length);
      }
      REQUIRE(rig.queue.pop(rig.chain) == Pop::kEmpty);
      for (auto token = tokens.rbegin(); token != tokens.rend(); ++token) {
        REQUIRE(rig.queue.add_used(*token, 1));
      }
      rig.queue.publish();
      for (auto token = tokens.rbegin(); token != tokens.rend(); ++token) {
        REQUIRE(rig.reap() == Used{*token, 1});
      }
      REQUIRE_FALSE(rig.reap());
    }
  }
}

TEST_CASE("with IN_ORDER chains come back in order, however they were finished", "[queue]") {
  const bool packed = GENERATE(false, true);
  Rig rig({.size = 8, .packed = packed, .in_order = true});
  for (int round = 0; round < 20; ++round) {
    std::vector<std::uint16_t> tokens;
    for (int i = 0; i < 4; ++i) {
      tokens.push_back(rig.offer({readable(kBuffers, 4), writable(kBuffers + 64, 4)}));
    }
    for (int i = 0; i < 4; ++i) REQUIRE(rig.queue.pop(rig.chain) == Pop::kChain);
    REQUIRE(rig.queue.add_used(tokens[2], 2));
    REQUIRE(rig.queue.add_used(tokens[1], 1));
    CHECK(rig.queue.add_used(tokens[1], 1).error() == QueueError::kNotInFlight);
    rig.queue.publish();
    CHECK_FALSE(rig.reap());
    REQUIRE(rig.queue.add_used(tokens[0], 0));
    rig.queue.publish();
    for (std::uint32_t i = 0; i < 3; ++i) CHECK(rig.reap() == Used{tokens[i], i});
    CHECK_FALSE(rig.reap());
    REQUIRE(rig.queue.add_used(tokens[3], 3));
    rig.queue.publish();
    CHECK(rig.reap() == Used{tokens[3], 3});
  }
}

TEST_CASE("a popped chain can be put back", "[queue]") {
  const bool packed = GENERATE(false, true);
  const bool in_order = GENERATE(false, true);
  Rig rig({.size = 4, .packed = packed, .in_order = in_order});
  for (int round = 0; round < 9; ++round) {
    const auto token =
        rig.offer({readable(kBuffers, 4), readable(kBuffers, 4), writable(kBuffers, 4)});
    for (int i = 0; i < 3; ++i) {
      REQUIRE(rig.queue.pop(rig.chain) == Pop::kChain);
      CHECK(rig.chain.head() == token);
      CHECK(rig.queue.undo_pop(rig.chain));
      CHECK(rig.queue.undo_pop(rig.chain).error() == QueueError::kNotInFlight);
    }
    REQUIRE(rig.queue.pop(rig.chain) == Pop::kChain);
    REQUIRE(rig.queue.add_used(token, 4));
    rig.queue.publish();
    CHECK(rig.reap());
  }
}

TEST_CASE("there is no list of a chain that is not in flight", "[queue][packed]") {
  Rig rig({.size = 4, .packed = true, .in_order = true});
  (void)rig.offer({readable(kBuffers, 4), writable(kBuffers, 4)});
  std::vector<PackedDescriptor> list(4);
  REQUIRE(rig.queue.pop(rig.chain) == Pop::kChain);
  CHECK(rig.queue.read_list(rig.chain, list) == 2);
  CHECK(rig.queue.read_list(rig.chain, std::span(list).first(1)) == 1);
  REQUIRE(rig.queue.add_used(rig.chain.head(), 0));
  CHECK(rig.queue.read_list(rig.chain, list) == 0);
}

TEST_CASE("a saved queue goes on where it was", "[queue][state]") {
  const bool packed = GENERATE(false, true);
  const Kind kind{.size = 5, .packed = packed};
  const Kind even{.size = 4, .packed = packed};
  Rig rig(packed ? kind : even);
  for (int round = 0; round < 23; ++round) {
    const auto first = rig.offer({readable(kBuffers, 4), readable(kBuffers, 4)});
    const auto second = rig.offer({readable(kBuffers, 4)});
    REQUIRE(rig.queue.pop(rig.chain) == Pop::kChain);
    const QueuePosition saved = rig.queue.position();
    rig.queue = *config_of(packed ? kind : even).activate(rig.memory, saved);
    CHECK(rig.queue.position() == saved);
    CHECK(rig.queue.add_used(first, 0).error() == QueueError::kNotInFlight);
    if (packed) {
      CHECK(rig.queue.adopt(first, 0).error() == QueueError::kBadHead);
      CHECK(rig.queue.adopt(first, 6).error() == QueueError::kBadHead);
    }
    REQUIRE(rig.queue.adopt(first, 2));  // from an inflight region
    CHECK(rig.queue.adopt(first, 2).error() == QueueError::kInFlight);
    REQUIRE(rig.queue.pop(rig.chain) == Pop::kChain);
    CHECK(rig.chain.head() == second);
    REQUIRE(rig.queue.add_used(first, 7));
    REQUIRE(rig.queue.add_used(second, 8));
    rig.queue.publish();
    CHECK(rig.reap() == Used{first, 7});
    CHECK(rig.reap() == Used{second, 8});
  }
}

TEST_CASE("process() serves a bounded number, publishes once and decides once", "[queue]") {
  const bool packed = GENERATE(false, true);
  Rig rig({.size = 16, .packed = packed, .event_idx = true});
  (void)rig.driver.enable_interrupts();
  for (int i = 0; i < 10; ++i) rig.offer({readable(kBuffers, 4)});
  const auto serve = [&](Chain& chain) { return std::optional<std::uint32_t>(chain.head()); };
  Served served = rig.queue.process(rig.chain, 4, serve);
  CHECK(served.chains == 4);
  CHECK(served.more);
  CHECK(served.notify);
  served = rig.queue.process(rig.chain, 100, serve);
  CHECK(served.chains == 6);
  CHECK_FALSE(served.more);
  CHECK_FALSE(served.notify);  // the driver's event is at the first
  for (int i = 0; i < 10; ++i) {
    const auto used = rig.reap();
    REQUIRE(used);
    CHECK(used->token == used->written);
  }
  REQUIRE(rig.driver.add(std::vector{readable(kBuffers, 4)}));
  CHECK(rig.driver.publish());  // kicks were enabled
}

TEST_CASE("a guest that refills for ever does not hold process() for ever", "[queue][hostile]") {
  const bool packed = GENERATE(false, true);
  Rig rig({.size = 4, .packed = packed});
  rig.offer({readable(kBuffers, 4)});
  const Served served = rig.queue.process(rig.chain, 1000, [&](Chain& chain) {
    REQUIRE(rig.queue.add_used(chain.head(), 0));
    rig.queue.publish();
    REQUIRE(rig.reap());
    rig.offer({readable(kBuffers, 4)});
    return std::optional<std::uint32_t>();
  });
  CHECK(served.chains == 1000);
  CHECK(served.more);
}

TEST_CASE("process() ends when it is told that this was enough", "[queue]") {
  const bool packed = GENERATE(false, true);
  Rig rig({.size = 16, .packed = packed});
  for (int i = 0; i < 6; ++i) rig.offer({readable(kBuffers, 4)});
  int asked = 0;
  const auto serve = [&](Chain&) { return std::optional(0u); };
  Served served = rig.queue.process(rig.chain, 100, serve, [&] { return ++asked == 3; });
  CHECK(served.chains == 3);
  CHECK(served.more);
  // One is served all the same, or nothing ever would be.
  served = rig.queue.process(rig.chain, 100, serve, [] { return true; });
  CHECK(served.chains == 1);
  CHECK(served.more);
  served = rig.queue.process(rig.chain, 100, serve, [] { return false; });
  CHECK(served.chains == 2);
  CHECK_FALSE(served.more);
}

TEST_CASE("queues are reset and made again without end", "[queue]") {
  const bool packed = GENERATE(false, true);
  const Kind kind{.size = 4, .packed = packed};
  const GuestMemory memory = make_memory();
  QueueConfig config = config_of(kind);
  for (int round = 0; round < 50; ++round) {
    auto driver = *driver::Driver::create(shape_of(kind), memory.view());
    Queue queue = *config.activate(memory);
    ChainBuffer chain(4);
    REQUIRE(driver.add(std::vector{readable(kBuffers, 4)}));
    (void)driver.publish();
    REQUIRE(queue.pop(chain) == Pop::kChain);
    config.reset();
    config = config_of(kind);
  }
}

struct Plugged {
  explicit Plugged(bool packed)
      : memory(make_memory()),
        driver(*driver::Driver::create(shape_of({.size = 8, .packed = packed}), memory.view())),
        queue(*config_of({.size = 8, .packed = packed}).activate(memory)) {}

  Pop offer_and_pop(std::uint64_t at) {
    REQUIRE(driver.add(std::vector{writable(at, 16)}));
    (void)driver.publish();
    return queue.pop(chain);
  }
  const RegionConfig extra{.base = GuestAddress(0x100000), .bytes = 0x10000};
  GuestMemory memory;
  driver::Driver driver;
  Queue queue;
  InlineChain<4> chain;
};

TEST_CASE("memory that is plugged can be used, what is unplugged can not", "[queue][hotplug]") {
  Plugged rig(GENERATE(false, true));
  CHECK(rig.offer_and_pop(0x100000) == Pop::kMalformed);
  CHECK(rig.chain.error() == QueueError::kBadMemory);
  CHECK(rig.queue.pop(rig.chain) == Pop::kEmpty);
  REQUIRE(rig.memory.plug(rig.extra));
  CHECK(rig.offer_and_pop(0x100000) == Pop::kChain);
  const std::uint16_t head = rig.chain.head();
  REQUIRE(rig.memory.unplug(rig.extra.base, rig.extra.bytes));
  InlineChain<4> other;
  REQUIRE(rig.driver.add(std::vector{writable(0x100000, 16)}));
  (void)rig.driver.publish();
  CHECK(rig.queue.refresh());
  CHECK(rig.queue.pop(other) == Pop::kMalformed);
  // The request in flight keeps its memory until it is given back.
  CHECK(rig.chain.writer().write_obj(Le64(1)));
  CHECK(rig.queue.add_used(head, 8));
  CHECK(rig.queue.add_used(head, 8).error() == QueueError::kNotInFlight);
}

TEST_CASE("many changes of memory with requests in flight", "[queue][hotplug]") {
  Plugged rig(GENERATE(false, true));
  std::vector<std::uint16_t> heads;
  for (int i = 0; i < 6; ++i) {
    REQUIRE(rig.memory.plug(rig.extra));
    CHECK(rig.queue.refresh());
    REQUIRE(rig.offer_and_pop(0x100000) == Pop::kChain);
    heads.push_back(rig.chain.head());
    REQUIRE(rig.memory.unplug(rig.extra.base, rig.extra.bytes));
    CHECK(rig.queue.refresh());
  }
  for (const std::uint16_t head : {heads[3], heads[0], heads[5], heads[1], heads[2], heads[4]}) {
    CHECK(rig.queue.add_used(head, 0));
  }
  rig.queue.publish();
  for (int i = 0; i < 6; ++i) CHECK(rig.driver.reap());
}

TEST_CASE("a queue whose rings are unplugged is broken and writes no more",
          "[queue][hotplug][hostile]") {
  const bool packed = GENERATE(false, true);
  Plugged rig(packed);
  REQUIRE(rig.offer_and_pop(kBuffers) == Pop::kChain);
  REQUIRE(rig.memory.plug(rig.extra));
  REQUIRE(rig.memory.unplug(GuestAddress(kRam), kRamBytes));
  CHECK(rig.queue.pop(rig.chain) == Pop::kBroken);
  CHECK(rig.chain.error() == QueueError::kRingNotMapped);
  CHECK_FALSE(rig.queue.refresh());
  CHECK(rig.queue.add_used(0, 0).has_value() == false);
  rig.queue.publish();
  rig.queue.disable_notifications();
  (void)rig.queue.enable_notifications();
  (void)rig.queue.needs_notification();
  CHECK(rig.queue.pop(rig.chain) == Pop::kBroken);
}

TEST_CASE("rings are followed when their memory is replaced", "[queue][hotplug]") {
  const bool packed = GENERATE(false, true);
  Plugged rig(packed);
  REQUIRE(rig.offer_and_pop(kBuffers) == Pop::kChain);
  const std::uint16_t head = rig.chain.head();
  std::vector<std::byte> image(kRamBytes);
  REQUIRE(rig.memory.view().read_bytes(GuestAddress(kRam), image));
  const RegionConfig ram{.base = GuestAddress(kRam), .bytes = kRamBytes};
  const GuestMemory copy = *GuestMemory::create({&ram, 1});
  REQUIRE(copy.view().write_bytes(GuestAddress(kRam), image));
  REQUIRE(rig.queue.add_used(head, 5));  // staged: in the old memory
  rig.memory.replace(copy.snapshot());
  CHECK(rig.queue.pop(rig.chain) == Pop::kEmpty);
  rig.queue.publish();
  const auto flags = *copy.view().read<Le16>(GuestAddress(kTable + 14));
  const auto index = *copy.view().read<Le16>(GuestAddress(kDeviceArea + SplitUsed::kIndex));
  if (packed) {
    CHECK((flags.get() & (kDescAvail | kDescUsed)) == (kDescAvail | kDescUsed));
  } else {
    CHECK(index.get() == 1);
  }
}

TEST_CASE("of a long ring the pages are dirty that were written, also around its end",
          "[queue][dirty]") {
  const bool packed = GENERATE(false, true);
  constexpr std::uint16_t kLong = 1024;  // 4 pages of packed descriptors, 2 of used elements
  const QueueShape shape{
      .rings = {GuestAddress(0x10000), GuestAddress(0x20000), GuestAddress(0x30000)},
      .size = kLong,
      .packed = packed};
  const GuestMemory memory = make_memory(true);
  vm_memory::DirtyBitmap& dirty = *memory.view().regions()[0].dirty;
  auto driver = *driver::Driver::create(shape, memory.view());
  Queue queue = *Queue::create(shape, memory, Queue::start_position(packed));
  InlineChain<2> chain;
  const std::uint64_t pages = packed ? 4 : 3;  // the last one of a split ring has avail_event
  const std::uint64_t ring = (packed ? 0x10000 : 0x30000) - kRam;
  const auto serve = [&](std::uint32_t count) {
    for (std::uint32_t i = 0; i < count; ++i) {
      REQUIRE(driver.add(std::vector{readable(0x40000, 4)}));
    }
    (void)driver.publish();
    std::vector<std::uint16_t> heads;
    while (queue.pop(chain) == Pop::kChain) heads.push_back(chain.head());
    REQUIRE(heads.size() == count);
    dirty.clear_all();
    for (const std::uint16_t head : heads) REQUIRE(queue.add_used(head, 0));
    queue.publish();
    for (std::uint32_t i = 0; i < count; ++i) REQUIRE(*driver.reap());
    std::vector<bool> marked;
    for (std::uint64_t page = 0; page < pages; ++page) {
      marked.push_back(dirty.is_dirty(ring + page * 4096));
    }
    return marked;
  };
  // The index of a split ring is in its first page.
  CHECK(serve(1) ==
        (packed ? std::vector{true, false, false, false} : std::vector{true, false, false}));
  CHECK(serve(1000) ==
        (packed ? std::vector{true, true, true, true} : std::vector{true, true, false}));
  CHECK(serve(10) ==
        (packed ? std::vector{false, false, false, true} : std::vector{true, true, false}));
  CHECK(serve(20) ==
        (packed ? std::vector{true, false, false, true} : std::vector{true, true, true}));
  queue.publish();
  dirty.clear_all();
  queue.publish();
  CHECK(dirty.is_dirty(ring) == !packed);
}

TEST_CASE("writes are noted from when tracking starts, also in the middle of a batch",
          "[queue][hotplug][dirty]") {
  Plugged rig(GENERATE(false, true));
  for (const auto at : {0x30000U, 0x31000U, 0x32000U}) {
    REQUIRE(rig.driver.add(std::vector{writable(at, 16)}));
  }
  (void)rig.driver.publish();
  REQUIRE(rig.queue.pop(rig.chain) == Pop::kChain);
  REQUIRE(rig.queue.add_used(rig.chain.head(), 0));
  std::vector<std::byte> image(kRamBytes);
  REQUIRE(rig.memory.view().read_bytes(GuestAddress(kRam), image));
  const GuestMemory tracked = make_memory(true);
  REQUIRE(tracked.view().write_bytes(GuestAddress(kRam), image));
  vm_memory::DirtyBitmap& dirty = *tracked.view().regions()[0].dirty;
  dirty.clear_all();
  const std::uint64_t before = rig.queue.memory_changes();
  rig.memory.replace(tracked.snapshot());
  CHECK(rig.queue.refresh());
  CHECK(rig.queue.memory_changes() != before);
  for (const auto at : {0x31000U, 0x32000U}) {
    REQUIRE(rig.queue.pop(rig.chain) == Pop::kChain);
    CHECK(rig.chain.writer().write_obj(Le64(1)));
    CHECK(dirty.is_dirty(at - kRam));
    REQUIRE(rig.queue.add_used(rig.chain.head(), 8));
  }
  CHECK(rig.queue.pop(rig.chain) == Pop::kEmpty);
}

}  // namespace
}  // namespace vmm::virtio_queue
