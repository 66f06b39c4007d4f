// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Queues whose addresses are I/O addresses: what is missing, what is denied, and what comes later.

#include <algorithm>
#include <tuple>

#include "rig.h"
#include "vmm/virtio_queue/inflight.h"
#include "vmm/vm_memory/translation.h"

namespace vmm::virtio_queue {
namespace {

using vm_memory::Access;
using vm_memory::RegionMap;
using vm_memory::RegionSpan;

constexpr std::uint64_t kPage = 4096;

struct Faults final : vm_memory::FaultHandler {
  void missing(Iova iova, std::uint64_t, Access access) override {
    asked.emplace_back(iova.raw(), access);
  }
  void denied(Iova iova, std::uint64_t, Access access) override {
    refused.emplace_back(iova.raw(), access);
  }
  using List = std::vector<std::pair<std::uint64_t, Access>>;
  List asked;
  List refused;
};

/// Memory where each mapped page of I/O addresses has a page of guest memory.
struct IoRig {
  explicit IoRig(const Kind& kind, bool dirty = false)
      : memory(make_memory(dirty)), driver(*driver::Driver::create(shape_of(kind), memory.view())) {
    map(kTable, kTable, Access::kReadWrite, 8);  // the rings
    queue.emplace(*config_of(kind).activate(io));
  }

  void map(std::uint64_t iova, std::uint64_t guest, Access access = Access::kReadWrite,
           std::uint64_t pages = 1) {
    mappings.push_back({iova, guest, access, pages * kPage});
    std::ranges::sort(mappings, {}, &Mapping::iova);
    publish();
  }
  void unmap(std::uint64_t iova) {
    std::erase_if(mappings, [&](const Mapping& one) { return one.iova == iova; });
    publish();
  }
  std::uint16_t offer(const std::vector<driver::Buffer>& buffers) {
    const auto token = driver.add(buffers);
    REQUIRE(token);
    (void)driver.publish();
    return *token;
  }
  Pop pop() { return queue->pop(chain); }

  struct Mapping {
    std::uint64_t iova;
    std::uint64_t guest;
    Access access;
    std::uint64_t bytes;
  };
  void publish() {
    std::vector<RegionSpan> spans;
    vm_memory::Translation translation{
        .physical = memory.snapshot(), .faults = faults, .access = {}, .complete = complete};
    for (const Mapping& one : mappings) {
      const auto host = memory.view().slice(GuestAddress(one.guest), one.bytes)->unsafe_iovec();
      spans.push_back({GuestAddress(one.iova), {static_cast<std::byte*>(host.base), host.bytes}});
      translation.access.push_back(one.access);
    }
    io.replace(RegionMap::translated(std::move(spans), std::move(translation)));
  }

  std::shared_ptr<Faults> faults = std::make_shared<Faults>();
  GuestMemory memory;
  GuestMemory io = GuestMemory::adopt(
      RegionMap::translated({}, {.physical = RegionMap::empty(), .faults = faults, .access = {}}));
  std::vector<Mapping> mappings;
  bool complete = false;
  driver::Driver driver;
  std::optional<Queue> queue;
  InlineChain<16> chain;
};

const auto kKinds = {Kind{.size = 8}, Kind{.size = 8, .packed = true},
                     Kind{.size = 8, .in_order = true},
                     Kind{.size = 8, .packed = true, .in_order = true}};

TEST_CASE("a chain of pages that are not mapped waits, and asks for each once it gets there",
          "[translated]") {
  for (const Kind& kind : kKinds) {
    CAPTURE(kind.packed, kind.in_order);
    IoRig rig(kind);
    const std::uint16_t token = rig.offer({readable(0x100'0ff0, 32), writable(0x200'0000, 64)});
    CHECK(rig.pop() == Pop::kEmpty);
    CHECK(rig.chain.error() == QueueError::kMissing);
    CHECK_FALSE(rig.queue->enable_notifications());  // or a device would never stop looking
    CHECK(rig.faults->asked == Faults::List{{0x100'0ff0, Access::kRead}});
    rig.map(0x100'0000, kBuffers);
    CHECK(rig.pop() == Pop::kEmpty);
    CHECK(rig.faults->asked.back() == std::pair{std::uint64_t{0x100'1000}, Access::kRead});
    rig.map(0x100'1000, kBuffers + 0x4000);
    CHECK(rig.pop() == Pop::kEmpty);
    CHECK(rig.faults->asked.back() == std::pair{std::uint64_t{0x200'0000}, Access::kWrite});
    rig.map(0x200'0000, kBuffers + 0x8000);
    REQUIRE(rig.pop() == Pop::kChain);
    CHECK(rig.chain.head() == token);
    CHECK(rig.chain.unsafe_readable().size() == 2);
    CHECK(rig.chain.readable_bytes() == 32);
    CHECK(rig.chain.writable_bytes() == 64);
    REQUIRE(rig.queue->add_used(token, 3));
    rig.queue->publish();
    CHECK(*rig.driver.reap() == driver::Used{token, 3});
    CHECK(rig.pop() == Pop::kEmpty);
    CHECK(rig.faults->asked.size() == 3);
    // Once more, where nothing is missing: kicks are wanted again.
    rig.offer({readable(0x100'0000, 8)});
    CHECK(rig.queue->enable_notifications());
    CHECK(rig.pop() == Pop::kChain);
  }
}

TEST_CASE("process() ends at what is not mapped, and goes on later", "[translated]") {
  for (const Kind& kind : kKinds) {
    CAPTURE(kind.packed, kind.in_order);
    IoRig rig(kind);
    rig.map(0x100'0000, kBuffers);
    rig.offer({readable(0x100'0000, 8)});
    rig.offer({readable(0x300'0000, 8)});
    rig.offer({readable(0x100'0000, 8)});
    const auto serve = [&] {
      return rig.queue->process(rig.chain, 100,
                                [](Chain&) { return std::optional<std::uint32_t>(0); });
    };
    Served served = serve();
    CHECK(served.chains == 1);
    CHECK_FALSE(served.more);
    CHECK_FALSE(served.broken);
    CHECK(serve().chains == 0);
    rig.map(0x300'0000, kBuffers);
    CHECK(serve().chains == 2);
  }
}

TEST_CASE("accesses that are not permitted make a chain malformed", "[translated][hostile]") {
  for (const Kind& kind : kKinds) {
    CAPTURE(kind.packed, kind.in_order);
    IoRig rig(kind);
    rig.map(0x100'0000, kBuffers, Access::kRead);
    rig.map(0x200'0000, kBuffers, Access::kWrite);
    rig.map(0x300'0000, kBuffers, Access::kNone);
    rig.offer({readable(0x100'0000, 8), writable(0x200'0000, 8)});
    CHECK(rig.pop() == Pop::kChain);
    for (const driver::Buffer& bad : {writable(0x100'0000, 8), readable(0x200'0000, 8),
                                      readable(0x300'0000, 1), writable(0x300'0fff, 1)}) {
      rig.offer({bad});
      CHECK(rig.pop() == Pop::kMalformed);
      CHECK(rig.chain.error() == QueueError::kBadMemory);
      CHECK(rig.faults->refused.back().first == bad.address.raw());
    }
    rig.offer({readable(~std::uint64_t{0} - 3, 8)});  // beyond 2^64
    CHECK(rig.pop() == Pop::kMalformed);
    CHECK(rig.faults->asked.empty());
  }
}

TEST_CASE("an indirect table is read where it is mapped", "[translated]") {
  for (const bool packed : {false, true}) {
    CAPTURE(packed);
    IoRig rig({.size = 8, .packed = packed});
    rig.unmap(kTable);
    rig.map(kTable, kTable, Access::kReadWrite, 6);  // all but the table
    rig.map(0x100'0000, kBuffers);
    const std::vector buffers{readable(0x100'0000, 8), writable(0x100'0100, 8)};
    REQUIRE(rig.driver.add_indirect(buffers, GuestAddress(kIndirect)));
    (void)rig.driver.publish();
    CHECK(rig.pop() == Pop::kEmpty);
    CHECK(rig.faults->asked == Faults::List{{kIndirect, Access::kRead}});
    rig.map(kIndirect, kIndirect, Access::kRead);
    CHECK(rig.pop() == Pop::kChain);
    // In two pages that are not together: refused, as across memory regions.
    rig.map(0x400'0000, kBuffers + 0x1000);
    rig.map(0x400'1000, kBuffers + 0x8000);
  }
}

TEST_CASE("rings have to be mapped as a device uses them", "[translated][hostile]") {
  for (const bool packed : {false, true}) {
    const Kind kind{.size = 8, .packed = packed};
    IoRig rig(kind);
    for (const std::uint64_t part : {kTable, kDriverArea, kDeviceArea}) {
      CAPTURE(packed, part);
      rig.mappings.clear();
      for (const std::uint64_t other : {kTable, kDriverArea, kDeviceArea}) {
        if (other != part) rig.map(other, other);
      }
      rig.faults->asked.clear();
      CHECK(config_of(kind).activate(rig.io).error() == QueueError::kRingNotMapped);
      REQUIRE(rig.faults->asked.size() == 1);
      CHECK(rig.faults->asked[0].first == part);
      const Access needed = rig.faults->asked[0].second;
      rig.map(part, part, needed == Access::kRead ? Access::kWrite : Access::kRead);
      CHECK(config_of(kind).activate(rig.io).error() == QueueError::kRingNotMapped);
      rig.unmap(part);
      rig.map(part, part, needed);
      CHECK(config_of(kind).activate(rig.io));
    }
  }
}

TEST_CASE("what was in flight waits for its mapping after a restart", "[translated]") {
  for (const bool packed : {false, true}) {
    CAPTURE(packed);
    const Kind kind{.size = 8, .packed = packed};
    IoRig rig(kind);
    std::vector<std::byte> bytes(4096);
    const vm_memory::GuestSlice region(bytes);
    REQUIRE(rig.queue->track_inflight(region));
    rig.map(0x100'0000, kBuffers);
    const std::uint16_t token = rig.offer({readable(0x100'0000, 8)});
    REQUIRE(rig.pop() == Pop::kChain);
    rig.unmap(0x100'0000);
    rig.queue.emplace(*config_of(kind).activate(rig.io));
    REQUIRE(rig.queue->track_inflight(region));
    rig.map(0x200'0000, kBuffers + 0x4000);
    const std::uint16_t newer = rig.offer({readable(0x200'0000, 8)});
    CHECK(rig.pop() == Pop::kEmpty);  // the newer one waits for its turn
    CHECK(rig.pop() == Pop::kEmpty);
    CHECK_FALSE(rig.queue->enable_notifications());
    rig.map(0x100'0000, kBuffers);
    REQUIRE(rig.pop() == Pop::kChain);
    CHECK(rig.chain.head() == token);
    REQUIRE(rig.queue->add_used(token, 0));
    rig.queue->publish();
    CHECK(rig.queue->enable_notifications());
    REQUIRE(rig.pop() == Pop::kChain);
    CHECK(rig.chain.head() == newer);
    REQUIRE(rig.queue->add_used(newer, 0));
    rig.queue->publish();
    CHECK(rig.pop() == Pop::kEmpty);
  }
}

TEST_CASE("a queue that is put elsewhere does not wait for what it waited for", "[translated]") {
  for (const bool packed : {false, true}) {
    CAPTURE(packed);
    IoRig rig({.size = 8, .packed = packed});
    const auto start = rig.queue->position();
    (void)rig.offer({readable(0x100'0000, 8)});
    CHECK(rig.pop() == Pop::kEmpty);
    CHECK_FALSE(rig.queue->enable_notifications());
    REQUIRE(rig.queue->rewind(start));
    CHECK(rig.queue->enable_notifications());
  }
}

TEST_CASE("writes at I/O addresses are noted where the memory is", "[translated]") {
  for (const bool packed : {false, true}) {
    CAPTURE(packed);
    IoRig rig({.size = 8, .packed = packed}, true);
    rig.map(0x100'0000, kBuffers + 0x5000);
    const std::uint16_t token = rig.offer({writable(0x100'0ffc, 4)});
    REQUIRE(rig.pop() == Pop::kChain);
    CHECK(rig.chain.writer().write(std::as_bytes(std::span("abcd", 4))) == 4);
    REQUIRE(rig.queue->add_used(token, 4));
    rig.queue->publish();
    const auto* const dirty = rig.memory.snapshot()->regions()[0]->dirty();
    CHECK(dirty->is_dirty(kBuffers + 0x5000 - kRam));
    CHECK(dirty->is_dirty((packed ? kTable : kDeviceArea) - kRam));
    CHECK_FALSE(dirty->is_dirty(kBuffers - kRam));
  }
}

TEST_CASE("in a map that is complete, what is missing is denied", "[translated][hostile]") {
  for (const Kind& kind : kKinds) {
    CAPTURE(kind.packed, kind.in_order);
    IoRig rig(kind);
    rig.complete = true;
    rig.map(0x100'0000, kBuffers);
    rig.offer({readable(0x200'0000, 8)});
    CHECK(rig.pop() == Pop::kMalformed);
    CHECK(rig.chain.error() == QueueError::kBadMemory);
    CHECK(rig.faults->asked == Faults::List{{0x200'0000, Access::kRead}});
    rig.offer({readable(0x100'0ff8, 16)});  // the second half
    CHECK(rig.pop() == Pop::kMalformed);
    rig.offer({readable(0x100'0000, 8)});
    CHECK(rig.pop() == Pop::kChain);
  }
}

TEST_CASE("each request in flight may be of another map", "[translated]") {
  for (const bool packed : {false, true}) {
    CAPTURE(packed);
    const Kind kind{.size = 256, .packed = packed};
    IoRig rig(kind);
    std::vector<std::uint16_t> tokens;
    for (std::uint64_t i = 0; i < 256; ++i) {
      rig.map(0x100'0000 + i * kPage, kBuffers + i % 16 * kPage);
      tokens.push_back(rig.offer({readable(0x100'0000 + i * kPage, 8)}));
      REQUIRE(rig.pop() == Pop::kChain);
      rig.unmap(0x100'0000 + i * kPage);
    }
    CHECK(rig.faults->asked.empty());
    for (const std::uint16_t token : tokens) REQUIRE(rig.queue->add_used(token, 0));
    rig.queue->publish();
    for (const std::uint16_t token : tokens) CHECK(*rig.driver.reap() == driver::Used{token, 0});
  }
}

}  // namespace
}  // namespace vmm::virtio_queue
