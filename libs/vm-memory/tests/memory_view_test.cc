// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_memory/memory_view.h"

#include <array>
#include <catch2/catch.hpp>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "errors.h"
#include "vmm/base/endian.h"

namespace vmm::vm_memory {
namespace {

constexpr std::uint64_t kMax = ~std::uint64_t{0};

/// Three regions of 1 KiB: one alone, and two that touch.
struct Machine {
  std::vector<std::byte> first = std::vector<std::byte>(0x400);
  std::vector<std::byte> second = std::vector<std::byte>(0x400);
  std::vector<std::byte> third = std::vector<std::byte>(0x400);
  std::array<RegionSpan, 3> regions{RegionSpan{GuestAddress(0), first},
                                    RegionSpan{GuestAddress(0x800), second},
                                    RegionSpan{GuestAddress(0xc00), third}};
  MemoryView memory{std::span<const RegionSpan>(regions)};
};

std::vector<std::byte> counting(std::size_t size) {
  std::vector<std::byte> bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i + 1);
  return bytes;
}

TEST_CASE("a view stands on a plain vector", "[memory_view]") {
  std::vector<std::byte> ram(0x1000);
  const RegionSpan region{GuestAddress(0x1000), ram};
  const MemoryView memory(region);
  REQUIRE(memory.write(GuestAddress(0x1ffc), Le32(0x01020304)));
  CHECK(memory.read<Le32>(GuestAddress(0x1ffc))->get() == 0x01020304);
  CHECK(ram[0xffc] == std::byte{4});
}

struct RangeCase {
  std::uint64_t address;
  std::uint64_t bytes;
  bool ram;
  MemoryError error;  // of check() when it is not RAM
};

TEST_CASE("a range is RAM when regions cover all of it", "[memory_view][hostile]") {
  using enum MemoryError;
  const Machine machine;
  for (const RangeCase& c : {
           RangeCase{0, 0, true, {}},
           RangeCase{0, 0x400, true, {}},
           RangeCase{0, 0x401, false, kPartial},
           RangeCase{0, 0xa00, false, kPartial},
           RangeCase{0x3ff, 1, true, {}},
           RangeCase{0x400, 1, false, kUnmapped},
           RangeCase{0x400, 0, true, {}},
           RangeCase{0x7ff, 1, false, kUnmapped},
           RangeCase{0x7ff, 2, false, kUnmapped},
           RangeCase{0x800, 0x800, true, {}},
           RangeCase{0x800, 0x801, false, kPartial},
           RangeCase{0xbff, 2, true, {}},
           RangeCase{0xfff, 1, true, {}},
           RangeCase{0x1000, 1, false, kUnmapped},
           RangeCase{0, kMax, false, kPartial},
           RangeCase{kMax, 0, true, {}},
           RangeCase{kMax, 1, false, kUnmapped},
           RangeCase{kMax, 2, false, kOverflow},
           RangeCase{2, kMax, false, kOverflow},
           RangeCase{1, kMax, false, kPartial},
       }) {
    INFO("address " << c.address << ", " << c.bytes << " bytes");
    const MemoryView memory = machine.memory;
    CHECK(memory.check_range(GuestAddress(c.address), c.bytes) == c.ram);
    const auto result = memory.check(GuestAddress(c.address), c.bytes);
    REQUIRE(result.has_value() == c.ram);
    if (!c.ram) CHECK(result.error() == c.error);
  }
}

TEST_CASE("a view without regions has no RAM", "[memory_view][hostile]") {
  for (const MemoryView memory : {MemoryView(), MemoryView(std::span<const RegionSpan>())}) {
    CHECK(memory.regions().empty());
    CHECK(memory.find_region(GuestAddress(0)) == nullptr);
    CHECK(memory.slice(GuestAddress(0), 1).error() == MemoryError::kUnmapped);
    CHECK(memory.check_range(GuestAddress(0), 0));
    CHECK(memory.slices(GuestAddress(0), 1).next().error() == MemoryError::kUnmapped);
  }
}

TEST_CASE("an address belongs to the region that holds it", "[memory_view]") {
  std::vector<std::byte> ram(0x10);
  for (std::size_t count = 1; count <= 17; ++count) {
    std::vector<RegionSpan> regions;
    for (std::size_t i = 0; i < count; ++i)
      regions.push_back({GuestAddress(0x100 + i * 0x20), ram});
    const MemoryView memory{std::span<const RegionSpan>(regions)};
    CHECK(memory.last_address() == GuestAddress(0x100 + (count - 1) * 0x20 + 0xf));
    CHECK(memory.find_region(GuestAddress(0xff)) == nullptr);
    for (std::size_t i = 0; i < count; ++i) {
      const std::uint64_t base = 0x100 + i * 0x20;
      CHECK(memory.find_region(GuestAddress(base)) == &regions[i]);
      CHECK(memory.find_region(GuestAddress(base + 0xf)) == &regions[i]);
      CHECK(memory.find_region(GuestAddress(base + 0x10)) == nullptr);
      CHECK_FALSE(memory.contains(GuestAddress(base - 1)));
    }
  }
}

TEST_CASE("a slice lies in one region", "[memory_view][hostile]") {
  const Machine machine;
  const MemoryView memory = machine.memory;
  CHECK(memory.slice(GuestAddress(0x800), 0x400)->size() == 0x400);
  CHECK(memory.slice(GuestAddress(0xc00), 0x400)->size() == 0x400);
  CHECK(memory.slice(GuestAddress(0xbff), 2).error() == MemoryError::kNotContiguous);
  CHECK(memory.slice(GuestAddress(0x3ff), 2).error() == MemoryError::kPartial);
  CHECK(memory.slice(GuestAddress(0x400), 1).error() == MemoryError::kUnmapped);
  CHECK(memory.slice(GuestAddress(0x400), kMax).error() == MemoryError::kOverflow);
  CHECK(memory.slice(GuestAddress(0x400), 0)->empty());
  CHECK(memory.slice(GuestAddress(kMax), 0)->empty());
}

TEST_CASE("slices come one per region, then an error at the first hole", "[memory_view]") {
  Machine machine;
  SliceWalk walk = machine.memory.slices(GuestAddress(0xa00), 0x700);
  const auto first = walk.next();
  REQUIRE(first);
  CHECK(first->unsafe_iovec().base == machine.second.data() + 0x200);
  CHECK(first->size() == 0x200);
  const auto second = walk.next();
  REQUIRE(second);
  CHECK(second->unsafe_iovec().base == machine.third.data());
  CHECK(second->size() == 0x400);
  CHECK_FALSE(walk.done());
  CHECK(walk.next().error() == MemoryError::kPartial);
  CHECK(walk.done());
  CHECK(walk.next().error() == MemoryError::kPartial);

  CHECK(machine.memory.slices(GuestAddress(0x400), 0).done());
  CHECK(machine.memory.slices(GuestAddress(0x400), 4).next().error() == MemoryError::kUnmapped);
  // The next region does not start where the first one ends.
  SliceWalk over_hole = machine.memory.slices(GuestAddress(0x3fe), 0x500);
  CHECK(over_hole.next()->size() == 2);
  CHECK(over_hole.next().error() == MemoryError::kPartial);
}

TEST_CASE("exact accesses move all bytes or none", "[memory_view][hostile]") {
  Machine machine;
  const MemoryView memory = machine.memory;
  const auto bytes = counting(5);
  std::vector<std::byte> out(5);
  REQUIRE(memory.write_bytes(GuestAddress(0xbfe), bytes));  // across two regions
  REQUIRE(memory.read_bytes(GuestAddress(0xbfe), out));
  CHECK(out == bytes);
  CHECK(machine.second[0x3ff] == std::byte{2});
  CHECK(machine.third[0] == std::byte{3});

  CHECK(memory.write_bytes(GuestAddress(0x3fe), bytes).error() == MemoryError::kPartial);
  CHECK(machine.first[0x3fe] == std::byte{0});
  CHECK(memory.write(GuestAddress(0xffd), Le32(kMax >> 32)).error() == MemoryError::kPartial);
  CHECK(machine.third[0x3fd] == std::byte{0});
  CHECK(memory.fill(GuestAddress(0xc00), 0x401, std::byte{9}).error() == MemoryError::kPartial);
  CHECK(machine.third[0x3ff] == std::byte{0});
  out.assign(5, std::byte{7});
  CHECK(memory.read_bytes(GuestAddress(0xffe), out).error() == MemoryError::kPartial);
  CHECK(out == std::vector<std::byte>(5, std::byte{7}));
  CHECK(memory.read<Le64>(GuestAddress(0x400)).error() == MemoryError::kUnmapped);
  CHECK(memory.read<Le64>(GuestAddress(kMax - 3)).error() == MemoryError::kOverflow);
  CHECK(memory.read<Le64>(GuestAddress(kMax - 7)).error() == MemoryError::kUnmapped);
  REQUIRE(memory.fill(GuestAddress(0xbf0), 0x20, std::byte{9}));
  CHECK(machine.second[0x3ef] == std::byte{0});
  CHECK(machine.second[0x3f0] == std::byte{9});
  CHECK(machine.third[0xf] == std::byte{9});
  CHECK(machine.third[0x10] == std::byte{0});
}

TEST_CASE("partial accesses move what there is", "[memory_view]") {
  Machine machine;
  const MemoryView memory = machine.memory;
  const auto bytes = counting(5);
  CHECK(*memory.write_some(GuestAddress(0xfff), bytes) == 1);
  CHECK(machine.third[0x3ff] == std::byte{1});
  CHECK(*memory.write_some(GuestAddress(0xbfe), bytes) == 5);
  CHECK(memory.write_some(GuestAddress(0x400), bytes).error() == MemoryError::kUnmapped);
  std::vector<std::byte> out(5);
  CHECK(*memory.read_some(GuestAddress(0xfff), out) == 1);
  CHECK(out[0] == std::byte{1});
  CHECK(*memory.read_some(GuestAddress(0xbfe), out) == 5);
  CHECK(out == bytes);
  CHECK(memory.read_some(GuestAddress(0x1000), out).error() == MemoryError::kUnmapped);
}

TEST_CASE("an empty range is fine at any address", "[memory_view]") {
  const Machine machine;
  const MemoryView memory = machine.memory;
  for (const std::uint64_t address : {std::uint64_t{0}, std::uint64_t{0x500}, kMax}) {
    const GuestAddress at(address);
    CHECK(memory.read_bytes(at, {}));
    CHECK(memory.write_bytes(at, {}));
    CHECK(*memory.read_some(at, {}) == 0);
    CHECK(*memory.write_some(at, {}) == 0);
    CHECK(memory.fill(at, 0, std::byte{1}));
    memory.mark_dirty(at, 0);
  }
}

TEST_CASE("atomic accesses are aligned and in one region", "[memory_view][hostile]") {
  const Machine machine;
  const MemoryView memory = machine.memory;
  REQUIRE(memory.store<Le32>(GuestAddress(0x3fc), Le32(77)));
  CHECK(memory.load<Le32>(GuestAddress(0x3fc))->get() == 77);
  CHECK(memory.load<Le32>(GuestAddress(0x3fd)).error() == MemoryError::kPartial);
  CHECK(memory.load<Le32>(GuestAddress(0x3fa)).error() == MemoryError::kMisaligned);
  CHECK(memory.store<Le16>(GuestAddress(1), Le16(1)).error() == MemoryError::kMisaligned);
  CHECK(memory.load<Le32>(GuestAddress(0x400)).error() == MemoryError::kUnmapped);
  CHECK(memory.load<Le32>(GuestAddress(0xbfe)).error() == MemoryError::kNotContiguous);
  CHECK(memory.load<std::uint8_t>(GuestAddress(0xfff)));
  CHECK(memory.load<std::uint16_t, std::memory_order_acquire>(GuestAddress(0xffe)));
  CHECK(memory.load<std::uint64_t>(GuestAddress(0xff8)));
}

template <std::size_t kSize>
struct Bytes {
  std::array<std::uint8_t, kSize> data;
};

template <std::size_t kSize>
void check_objects(const MemoryView& memory) {
  for (std::uint64_t at = 0xbf0 - kSize; at < 0xc10; ++at) {
    Bytes<kSize> in;
    std::iota(in.data.begin(), in.data.end(), static_cast<std::uint8_t>(at));
    REQUIRE(memory.fill(GuestAddress(at - 8), kSize + 16, std::byte{0xee}));
    REQUIRE(memory.write(GuestAddress(at), in));
    const auto out = memory.read<Bytes<kSize>>(GuestAddress(at));
    REQUIRE(out);
    CHECK(out->data == in.data);
    CHECK(*memory.read<std::uint8_t>(GuestAddress(at - 1)) == 0xee);
    CHECK(*memory.read<std::uint8_t>(GuestAddress(at + kSize)) == 0xee);
  }
}

TEST_CASE("objects of any size and place keep their bytes", "[memory_view]") {
  const Machine machine;
  check_objects<1>(machine.memory);
  check_objects<2>(machine.memory);
  check_objects<3>(machine.memory);
  check_objects<7>(machine.memory);
  check_objects<8>(machine.memory);
  check_objects<13>(machine.memory);
  check_objects<16>(machine.memory);
  check_objects<40>(machine.memory);
  check_objects<96>(machine.memory);
  check_objects<200>(machine.memory);
  check_objects<300>(machine.memory);
}

TEST_CASE("every way to write marks the dirty bitmap, and reading does not", "[memory_view]") {
  std::vector<std::byte> ram(0x8000);
  DirtyBitmap bitmap(ram.size());
  const RegionSpan region{GuestAddress(0x10000), ram, &bitmap};
  const MemoryView memory(region);
  const auto bytes = counting(0x1800);
  std::vector<std::byte> out(0x1800);
  const GuestAddress at(0x12000);  // page 2
  const auto dirty = [&] { return bitmap.get_and_reset()[0]; };

  REQUIRE(memory.write(at, Le64(1)));
  CHECK(dirty() == 0b100);
  REQUIRE(memory.write_bytes(at, bytes));
  CHECK(dirty() == 0b1100);
  REQUIRE(memory.write_some(GuestAddress(0x17fff), bytes));
  CHECK(dirty() == 0b10000000);
  REQUIRE(memory.store<Le16>(at, Le16(1)));
  CHECK(dirty() == 0b100);
  REQUIRE(memory.fill(GuestAddress(0x11fff), 2, std::byte{1}));
  CHECK(dirty() == 0b110);
  memory.mark_dirty(GuestAddress(0x17000), 0x100000);
  CHECK(dirty() == 0b10000000);
  CHECK_FALSE(memory.write_bytes(GuestAddress(0x17fff), bytes));
  (void)*memory.read<Le64>(at);
  (void)*memory.load<Le64>(at);
  REQUIRE(memory.read_bytes(at, out));
  REQUIRE(memory.read_some(at, out));
  REQUIRE(memory.slice(at, 100));
  CHECK(dirty() == 0);
}

// What may be an object in guest memory is decided at compile time.
struct Padded {
  std::uint8_t a;
  std::uint32_t b;
};
static_assert(GuestValue<Le32> && GuestValue<std::uint64_t> && GuestValue<Bytes<5>>);
static_assert(!GuestValue<Padded> && !GuestValue<bool> && !GuestValue<float> && !GuestValue<int*>);
static_assert(!GuestValue<int[2]>);
static_assert(GuestScalar<Le16> && !GuestScalar<Bytes<3>>);
static_assert(sizeof(MemoryView) == 2 * sizeof(void*));
static_assert(!std::is_constructible_v<MemoryView, RegionSpan&&>, "would borrow a temporary");

TEST_CASE("errors read well", "[memory_error]") {
  CHECK(to_string(make_error(MemoryError::kPartial)) ==
        "guest memory: the range runs out of guest memory");
  CHECK(to_string(make_error(RegionError::kOverlap)) ==
        "memory region: two memory regions overlap");
  check_words(MemoryError::kNoPermission);
  check_words(RegionError::kInvalidConfig);
}

}  // namespace
}  // namespace vmm::vm_memory
