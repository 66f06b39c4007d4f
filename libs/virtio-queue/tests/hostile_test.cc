// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Rings as no driver leaves them. Each malformed chain is named, given back with length 0, and
// followed by a good one that works.

#include <catch2/catch.hpp>
#include <numeric>
#include <vector>

#include "raw_rings.h"
#include "vmm/virtio_queue/detail/packed_walk.h"
#include "vmm/virtio_queue/detail/split_walk.h"

namespace vmm::virtio_queue {
namespace {

struct Case {
  const char* name;
  std::vector<Desc> ring;
  std::vector<Desc> table;  // at kIndirect
  std::optional<QueueError> error;
  std::uint32_t readable = 0;
  std::uint32_t writable = 0;
};

std::vector<Desc> line(std::size_t n, std::uint16_t last_flags = 0) {
  std::vector<Desc> list;
  for (std::uint16_t i = 0; i < n; ++i) {
    const bool last = i + 1u == n;
    list.push_back({kB, 1, last ? last_flags : kN, static_cast<std::uint16_t>(i + 1)});
  }
  return list;
}

const std::vector<Case>& split_cases() {
  static const std::vector<Case> cases{
      {"one buffer", {{kB, 16, 0, 0}}, {}, {}, 16, 0},
      {"next does not matter without NEXT", {{kB, 16, kW, 0xffff}}, {}, {}, 0, 16},
      {"reserved flags are ignored", {{kB, 16, 0xfff0, 9}}, {}, {}, 16, 0},
      {"reserved flags with NEXT", {{kB, 16, 0x8001, 1}, {kB, 2, 0x0102, 0}}, {}, {}, 16, 2},
      {"exactly the whole table", line(8), {}, {}, 8, 0},
      {"a descriptor that is its own successor", {{kB, 1, kN, 0}}, {}, QueueError::kLoop},
      {"two in a circle", {{kB, 1, kN, 1}, {kB, 1, kN, 0}}, {}, QueueError::kLoop},
      {"the last of all goes back to the first", line(8, kN), {}, QueueError::kBadNext},
      {"next is the table's size", {{kB, 1, kN, 8}}, {}, QueueError::kBadNext},
      {"next is 65535", {{kB, 1, kN, 65535}}, {}, QueueError::kBadNext},
      {"readable after writable", {{kB, 1, kW | kN, 1}, {kB, 1, 0, 0}}, {}, QueueError::kBadOrder},
      {"readable between writable",
       {{kB, 1, kW | kN, 1}, {kB, 1, kN, 2}, {kB, 1, kW, 0}},
       {},
       QueueError::kBadOrder},
      {"a hole in front of RAM", {{kRam - 1, 2, 0, 0}}, {}, QueueError::kBadMemory},
      {"no RAM at all", {{0, 1, 0, 0}}, {}, QueueError::kBadMemory},
      {"runs out of RAM", {{kEnd - 1, 2, 0, 0}}, {}, QueueError::kBadMemory},
      {"the last byte of RAM", {{kEnd - 1, 1, 0, 0}}, {}, {}, 1, 0},
      {"the end of the address space", {{~0ull, 2, 0, 0}}, {}, QueueError::kBadMemory},
      {"wraps around to RAM", {{~0ull - 0x100, 0xffffffff, 0, 0}}, {}, QueueError::kBadMemory},
      {"a second buffer outside of RAM",
       {{kB, 1, kN, 1}, {1ull << 40, 1, kW, 0}},
       {},
       QueueError::kBadMemory},
      {"a first buffer outside of RAM",
       {{1ull << 40, 1, kN, 1}, {kB, 1, 0, 0}},
       {},
       QueueError::kBadMemory},
      {"one to write outside of RAM, between others",
       {{kB, 1, kW | kN, 1}, {1ull << 40, 1, kW | kN, 2}, {kB, 1, kW, 0}},
       {},
       QueueError::kBadMemory},
      {"a huge length", {{kB, 0xffffffff, 0, 0}}, {}, QueueError::kBadMemory},
      {"a huge length to read, then one to write",
       {{kB, 0xfffffffe, kN, 1}, {kB, 1, kW, 0}},
       {},
       QueueError::kBadMemory},
      {"the same in the indirect table",
       {{kIndirect, 32, kI, 0}},
       {{kB, 0xfffffffe, kN, 1}, {kB, 1, kW, 0}},
       QueueError::kBadMemory},
      {"a huge length to write",
       {{kB, 1, kN, 1}, {kB, 0xfffffffe, kW, 0}},
       {},
       QueueError::kBadMemory},
      {"no bytes, wherever they are", {{~0ull, 0, kN, 1}, {kB, 4, kW, 0}}, {}, {}, 0, 4},
      {"no bytes at all", {{kB, 0, 0, 0}}, {}, {}, 0, 0},
      {"the same buffer twice", {{kB, 8, kN, 1}, {kB, 8, kW, 0}}, {}, {}, 8, 8},
      {"indirect", {{kIndirect, 32, kI, 0}}, {{kB, 4, kN, 1}, {kB, 8, kW, 0}}, {}, 4, 8},
      {"indirect at any alignment", {{kIndirect + 16 + 1, 16, kI, 0}}, {}, {}, 0, 0},
      {"WRITE on an indirect descriptor", {{kIndirect, 16, kI | kW, 0}}, {{kB, 4, 0, 0}}, {}, 4, 0},
      {"indirect after others",
       {{kB, 1, kN, 1}, {kIndirect, 16, kI, 0}},
       {{kB, 2, kW, 0}},
       {},
       1,
       2},
      {"indirect with NEXT",
       {{kIndirect, 16, kI | kN, 1}, {kB, 1, 0, 0}},
       {{kB, 4, 0, 0}},
       QueueError::kBadIndirect},
      {"indirect in indirect",
       {{kIndirect, 16, kI, 0}},
       {{kIndirect, 16, kI, 0}},
       QueueError::kBadIndirect},
      {"an empty indirect table",
       {{kIndirect, 0, kI, 0}},
       {{kB, 4, 0, 0}},
       QueueError::kBadIndirect},
      {"half a descriptor", {{kIndirect, 24, kI, 0}}, {{kB, 4, 0, 0}}, QueueError::kBadIndirect},
      {"more than 65535 descriptors",
       {{kIndirect, 65536 * 16, kI, 0}},
       {},
       QueueError::kBadIndirect},
      {"an indirect table outside of RAM", {{1ull << 40, 16, kI, 0}}, {}, QueueError::kBadMemory},
      {"an indirect table that runs out of RAM",
       {{kEnd - 16, 32, kI, 0}},
       {},
       QueueError::kBadMemory},
      {"next beyond the indirect table",
       {{kIndirect, 32, kI, 0}},
       {{kB, 1, kN, 2}},
       QueueError::kBadNext},
      {"a circle in the indirect table",
       {{kIndirect, 32, kI, 0}},
       {{kB, 1, kN, 1}, {kB, 1, kN, 0}},
       QueueError::kLoop},
      {"writable, then readable in the indirect table",
       {{kB, 1, kN | kW, 1}, {kIndirect, 16, kI, 0}},
       {{kB, 1, 0, 0}},
       QueueError::kBadOrder},
  };
  return cases;
}

void check_split(const Case& c) {
  CAPTURE(c.name);
  Rig rig({.size = 8});
  for (std::size_t i = 0; i < c.ring.size(); ++i) put(rig.view(), kTable + 16 * i, c.ring[i]);
  for (std::size_t i = 0; i < c.table.size(); ++i) put(rig.view(), kIndirect + 16 * i, c.table[i]);
  REQUIRE(rig.view().write(GuestAddress(kDriverArea + SplitAvail::entry(1)), Le16(0)));
  REQUIRE(rig.view().write(GuestAddress(kDriverArea + SplitAvail::kIndex), Le16(1)));
  const Pop popped = rig.queue.pop(rig.chain);
  if (c.error) {
    CHECK(popped == Pop::kMalformed);
    CHECK(rig.chain.error() == *c.error);
    CHECK(rig.chain.readable_bytes() + rig.chain.writable_bytes() == 0);
    CHECK(rig.queue.add_used(0, 0).error() == QueueError::kNotInFlight);
  } else {
    REQUIRE(popped == Pop::kChain);
    CHECK(rig.chain.readable_bytes() == c.readable);
    CHECK(rig.chain.writable_bytes() == c.writable);
    CHECK(rig.queue.add_used(0, 7));
  }
  rig.queue.publish();
  CHECK(*rig.view().read<Le16>(GuestAddress(kDeviceArea + SplitUsed::kIndex)) == Le16(1));
  CHECK(*rig.view().read<Le32>(GuestAddress(kDeviceArea + SplitUsed::entry(0) + 4)) ==
        Le32(c.error ? 0 : 7));
  put(rig.view(), kTable, {kB, 3, kW, 0});
  REQUIRE(rig.view().write(GuestAddress(kDriverArea + SplitAvail::kIndex), Le16(2)));
  CHECK(rig.queue.pop(rig.chain) == Pop::kChain);
  CHECK(rig.chain.writable_bytes() == 3);
}

TEST_CASE("malformed split chains", "[hostile][split]") {
  for (const Case& c : split_cases()) check_split(c);
}

const std::vector<Case>& packed_cases() {
  static const std::vector<Case> cases{
      {"one buffer", {{kB, 16, 0, 5}}, {}, {}, 16, 0},
      {"three", {{kB, 1, kN, 9}, {kB, 2, kN | kW, 9}, {kB, 3, kW, 5}}, {}, {}, 1, 5},
      {"the whole ring", line(8), {}, QueueError::kBadHead},
      {"without an end", line(8, kN), {}, QueueError::kLoop},
      {"an id beyond the ring", {{kB, 1, 0, 8}}, {}, QueueError::kBadHead},
      {"readable after writable", {{kB, 1, kW | kN, 0}, {kB, 1, 0, 5}}, {}, QueueError::kBadOrder},
      {"no RAM at all", {{0, 1, kN, 0}, {kB, 1, 0, 5}}, {}, QueueError::kBadMemory},
      {"wraps around to RAM", {{~0ull - 0x100, 0xffffffff, 0, 5}}, {}, QueueError::kBadMemory},
      {"a second buffer outside of RAM",
       {{kB, 1, kN, 0}, {1ull << 40, 1, 0, 5}},
       {},
       QueueError::kBadMemory},
      {"a second buffer, to write, outside of RAM",
       {{kB, 1, kN, 0}, {1ull << 40, 1, kW, 5}},
       {},
       QueueError::kBadMemory},
      {"a huge length", {{kB, 0xffffffff, 0, 5}}, {}, QueueError::kBadMemory},
      {"a huge length behind another one",
       {{kB, 1, kN, 0}, {kB, 0xfffffffe, 0, 5}},
       {},
       QueueError::kBadMemory},
      {"a huge length to read, then one to write",
       {{kB, 0xfffffffe, kN, 0}, {kB, 1, kW, 5}},
       {},
       QueueError::kBadMemory},
      {"the same in the indirect table",
       {{kIndirect, 32, kI, 5}},
       {{kB, 0xfffffffe, 0, 0}, {kB, 1, kW, 0}},
       QueueError::kBadMemory},
      {"a buffer of the indirect table outside of RAM",
       {{kIndirect, 32, kI, 5}},
       {{kB, 1, 0, 0}, {1ull << 40, 1, kW, 0}},
       QueueError::kBadMemory},
      {"more than 65535 descriptors",
       {{kIndirect, 65536 * 16, kI, 5}},
       {},
       QueueError::kBadIndirect},
      {"a huge length to write",
       {{kB, 1, kN, 0}, {kB, 0xfffffffe, kW, 5}},
       {},
       QueueError::kBadMemory},
      {"no bytes, wherever they are", {{~0ull, 0, kN, 0}, {kB, 4, kW, 5}}, {}, {}, 0, 4},
      {"indirect", {{kIndirect, 32, kI, 5}}, {{kB, 4, 0, 0}, {kB, 8, kW, 0}}, {}, 4, 8},
      {"NEXT in an indirect table is ignored",
       {{kIndirect, 16, kI, 5}},
       {{kB, 4, kN, 3}},
       {},
       4,
       0},
      {"indirect after others",
       {{kB, 1, kN, 0}, {kIndirect, 16, kI, 5}},
       {{kB, 2, kW, 0}},
       {},
       1,
       2},
      {"indirect with NEXT",
       {{kIndirect, 16, kI | kN, 0}, {kB, 1, 0, 5}},
       {{kB, 4, 0, 0}},
       QueueError::kBadIndirect},
      {"indirect in indirect",
       {{kIndirect, 16, kI, 5}},
       {{kIndirect, 16, kI, 0}},
       QueueError::kBadIndirect},
      {"an empty indirect table", {{kIndirect, 0, kI, 5}}, {}, QueueError::kBadIndirect},
      {"half a descriptor", {{kIndirect, 24, kI, 5}}, {}, QueueError::kBadIndirect},
      {"an indirect table outside of RAM", {{1ull << 40, 16, kI, 5}}, {}, QueueError::kBadMemory},
      {"readable after writable in the table",
       {{kIndirect, 32, kI, 5}},
       {{kB, 4, kW, 0}, {kB, 8, 0, 0}},
       QueueError::kBadOrder},
  };
  return cases;
}

void check_packed(const Case& c) {
  CAPTURE(c.name);
  Rig rig({.size = 8, .packed = true});
  for (std::size_t i = 0; i < c.ring.size(); ++i) {
    put_packed(rig.view(), kTable + 16 * i, c.ring[i], true);
  }
  for (std::size_t i = 0; i < c.table.size(); ++i) {
    put_packed(rig.view(), kIndirect + 16 * i, c.table[i], false);
  }
  const std::size_t n = c.ring.size();
  const Pop popped = rig.queue.pop(rig.chain);
  if (c.error) {
    CHECK(popped == Pop::kMalformed);
    CHECK(rig.chain.error() == *c.error);
  } else {
    REQUIRE(popped == Pop::kChain);
    CHECK(rig.chain.readable_bytes() == c.readable);
    CHECK(rig.chain.writable_bytes() == c.writable);
    CHECK(rig.queue.add_used(5, 7));
  }
  rig.queue.publish();
  const auto used = *rig.view().read<PackedDescriptor>(GuestAddress(kTable));
  CHECK(used.id.get() == c.ring.back().next);
  CHECK(used.length.get() == (c.error ? 0u : 7u));
  CHECK((used.flags.get() & ~kDescWrite) == (kDescAvail | kDescUsed));
  // The next list begins after the malformed one, at the ring's other turn if need be.
  PackedDescriptor good{
      Le64(kB), Le32(3), Le16(2),
      Le16(static_cast<std::uint16_t>(kDescWrite | (n == 8 ? kDescUsed : kDescAvail)))};
  REQUIRE(rig.view().write(GuestAddress(kTable + 16 * (n % 8)), good));
  CHECK(rig.queue.pop(rig.chain) == Pop::kChain);
  CHECK(rig.chain.writable_bytes() == 3);
}

TEST_CASE("malformed packed chains", "[hostile][packed]") {
  for (const Case& c : packed_cases()) check_packed(c);
}

TEST_CASE("an available index that jumps breaks the queue until it is reset", "[hostile][split]") {
  struct Jump {
    std::uint16_t start, index;
    Pop popped;
  };
  for (const Jump c :
       {Jump{0, 0, Pop::kEmpty}, Jump{0, 1, Pop::kChain}, Jump{0, 2, Pop::kChain},
        Jump{0, 3, Pop::kBroken}, Jump{0, 0x8000, Pop::kBroken}, Jump{3, 1, Pop::kBroken},
        Jump{65535, 0, Pop::kChain}, Jump{65535, 1, Pop::kChain}, Jump{65535, 2, Pop::kBroken}}) {
    CAPTURE(c.start, c.index);
    const GuestMemory memory = make_memory();
    Queue queue = *config_of({.size = 2}).activate(memory, {c.start, c.start});
    put(memory.view(), kTable, {kB, 1, 0, 0});
    REQUIRE(memory.view().write(GuestAddress(kDriverArea + SplitAvail::entry(1)), Le16(1)));
    put(memory.view(), kTable + 16, {kB, 1, 0, 0});
    REQUIRE(memory.view().write(GuestAddress(kDriverArea + SplitAvail::kIndex), Le16(c.index)));
    InlineChain<4> chain;
    CHECK(queue.pop(chain) == c.popped);
    if (c.popped != Pop::kBroken) continue;
    CHECK(chain.error() == QueueError::kBadAvailIndex);
    REQUIRE(memory.view().write(GuestAddress(kDriverArea + SplitAvail::kIndex), Le16(c.start)));
    CHECK(queue.pop(chain) == Pop::kBroken);
    CHECK(queue.process(chain, 10, [](Chain&) { return std::optional(0u); }).broken);
  }
}

TEST_CASE("a head beyond the table is passed over", "[hostile][split]") {
  Rig rig({.size = 8});
  REQUIRE(rig.view().write(GuestAddress(kDriverArea + SplitAvail::entry(0)), Le16(8)));
  REQUIRE(rig.view().write(GuestAddress(kDriverArea + SplitAvail::entry(1)), Le16(0xffff)));
  put(rig.view(), kTable, {kB, 1, 0, 0});
  REQUIRE(rig.view().write(GuestAddress(kDriverArea + SplitAvail::kIndex), Le16(3)));
  CHECK(rig.queue.pop(rig.chain) == Pop::kMalformed);
  CHECK(rig.chain.error() == QueueError::kBadHead);
  CHECK(rig.queue.pop(rig.chain) == Pop::kMalformed);
  CHECK(rig.queue.pop(rig.chain) == Pop::kChain);
  CHECK(rig.queue.add_used(8, 0).error() == QueueError::kNotInFlight);
  CHECK(rig.queue.add_used(0xffff, 0).error() == QueueError::kNotInFlight);
  CHECK(rig.queue.add_used(0, 0));
}

std::vector<vm_memory::IoVec> pieces_of(const Chain& chain) {
  std::vector<vm_memory::IoVec> list;
  for (const auto part : {chain.unsafe_readable(), chain.unsafe_writable()}) {
    for (const auto& piece : part) {
      if (piece.bytes != 0) list.push_back(piece);
    }
  }
  return list;
}

/// Memory with the tables of a case, and what both walks need.
struct Tables {
  explicit Tables(const Case& c, bool packed) {
    for (std::size_t i = 0; i < c.ring.size(); ++i)
      put_one(kTable + 16 * i, c.ring[i], packed, true);
    for (std::size_t i = 0; i < c.table.size(); ++i) {
      put_one(kIndirect + 16 * i, c.table[i], packed, false);
    }
    (void)window.reaches(ram.view(), kRam, 1);
  }
  void put_one(std::uint64_t at, const Desc& desc, bool packed, bool in_ring) const {
    packed ? put_packed(memory.view(), at, desc, in_ring) : put(memory.view(), at, desc);
  }

  GuestMemory memory = make_memory();
  vm_memory::GuestSlice slice = *memory.view().slice(GuestAddress(kTable), kBytes);
  const std::byte* table = static_cast<const std::byte*>(slice.unsafe_iovec().base);
  detail::Ram ram{memory.snapshot()};
  detail::Window window;
  InlineChain<64> fast;
  InlineChain<64> careful;

  static constexpr std::uint32_t kBytes = 8 * 16;
};

void check_same(const Chain& fast, const Chain& careful) {
  CHECK(fast.readable_bytes() == careful.readable_bytes());
  CHECK(fast.writable_bytes() == careful.writable_bytes());
  const auto a = pieces_of(fast);
  const auto b = pieces_of(careful);
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    CHECK(a[i].base == b[i].base);
    CHECK(a[i].bytes == b[i].bytes);
  }
}

TEST_CASE("the fast walk and the careful one agree on every table", "[hostile][split]") {
  int fast_ones = 0;
  for (const Case& c : split_cases()) {
    CAPTURE(c.name);
    Tables t(c, false);
    detail::Window other;
    const auto done = detail::split_walk_carefully(t.careful, t.table, 8, t.ram, other);
    CHECK(done.has_value() == !c.error);
    const std::uint32_t mask = detail::step_mask(8);
    if (!detail::split_walk(t.fast, t.table, Tables::kBytes, mask, t.window, 0) &&
        !detail::split_walk_indirect(t.fast, t.table, Tables::kBytes, mask, t.window)) {
      continue;
    }
    ++fast_ones;
    REQUIRE(done);
    check_same(t.fast, t.careful);
  }
  CHECK(fast_ones >= 5);
}

TEST_CASE("the fast walk and the careful one agree on every packed list", "[hostile][packed]") {
  int fast_ones = 0;
  for (const Case& c : packed_cases()) {
    CAPTURE(c.name);
    Tables t(c, true);
    detail::Window other;
    detail::PackedList list;
    const detail::PackedPlace place{t.table, t.table + Tables::kBytes, t.table};
    const auto done = detail::packed_walk_carefully(t.careful, place, t.ram, other, list);
    detail::PackedList fast_list;
    detail::PackedKinds kinds = detail::PackedKinds::of(kDescAvail);
    if (!detail::packed_walk(t.fast, t.window, t.table, Tables::kBytes, kinds,
                             detail::RawPacked(t.table).flags, fast_list) &&
        !detail::packed_walk_indirect(t.fast, t.window, t.table, fast_list)) {
      continue;
    }
    ++fast_ones;
    REQUIRE(done);
    CHECK(fast_list.id == list.id);
    CHECK(fast_list.bytes == list.bytes);
    check_same(t.fast, t.careful);
  }
  CHECK(fast_ones >= 4);
}

}  // namespace
}  // namespace vmm::virtio_queue
