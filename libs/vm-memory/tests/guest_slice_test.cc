// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_memory/guest_slice.h"

#include <array>
#include <catch2/catch.hpp>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <vector>

#include "vmm/base/endian.h"
#include "vmm/vm_memory/guest_array.h"

namespace vmm::vm_memory {
namespace {

constexpr std::size_t kMax = std::numeric_limits<std::size_t>::max();

struct Ram {
  alignas(64) std::array<std::byte, 256> bytes{};
  GuestSlice first(std::size_t n) { return GuestSlice(std::span(bytes.data(), n)); }
};

struct SubsliceCase {
  std::size_t offset;
  std::size_t bytes;
  bool fine;
  MemoryError error;
};

TEST_CASE("a slice is cut only inside of itself", "[guest_slice][hostile]") {
  Ram ram;
  const GuestSlice slice = ram.first(100);
  for (const SubsliceCase& c : {
           SubsliceCase{0, 100, true, {}},
           SubsliceCase{99, 1, true, {}},
           SubsliceCase{100, 0, true, {}},
           SubsliceCase{101, 0, false, MemoryError::kOutOfBounds},
           SubsliceCase{100, 1, false, MemoryError::kOutOfBounds},
           SubsliceCase{0, 101, false, MemoryError::kOutOfBounds},
           SubsliceCase{0, kMax, false, MemoryError::kOutOfBounds},
           SubsliceCase{kMax, 2, false, MemoryError::kOverflow},
           SubsliceCase{2, kMax, false, MemoryError::kOverflow},
       }) {
    INFO(c.offset << " " << c.bytes);
    const auto cut = slice.subslice(c.offset, c.bytes);
    REQUIRE(cut.has_value() == c.fine);
    if (c.fine) {
      CHECK(cut->size() == c.bytes);
      CHECK(cut->unsafe_iovec().base == ram.bytes.data() + c.offset);
    } else {
      CHECK(cut.error() == c.error);
    }
  }
  CHECK(slice.subslice(100)->empty());
  CHECK(slice.subslice(101).error() == MemoryError::kOutOfBounds);
  CHECK(slice.split_at(100)->first.size() == 100);
  CHECK(slice.split_at(30)->second.size() == 70);
  CHECK(slice.split_at(101).error() == MemoryError::kOutOfBounds);
}

TEST_CASE("objects in a slice may lie anywhere in it, and only there", "[guest_slice][hostile]") {
  Ram ram;
  const GuestSlice slice = ram.first(9);
  for (std::size_t offset = 0; offset <= 5; ++offset) {
    REQUIRE(slice.write(Le32(0xa0b0c0d0), offset));
    CHECK(slice.read<Le32>(offset)->get() == 0xa0b0c0d0);
  }
  CHECK(slice.write(Le32(1), 6).error() == MemoryError::kOutOfBounds);
  CHECK(slice.read<Le32>(6).error() == MemoryError::kOutOfBounds);
  CHECK(slice.read<Le32>(kMax).error() == MemoryError::kOutOfBounds);
  CHECK(ram.bytes[9] == std::byte{0});
}

TEST_CASE("copies move what fits and say how much", "[guest_slice]") {
  Ram ram;
  const GuestSlice slice = ram.first(9);
  std::vector<std::byte> from(12, std::byte{5});
  CHECK(slice.copy_from(from) == 9);
  CHECK(ram.bytes[8] == std::byte{5});
  CHECK(ram.bytes[9] == std::byte{0});
  std::vector<std::byte> to(12);
  CHECK(slice.copy_to(to) == 9);
  CHECK(to[8] == std::byte{5});
  CHECK(to[9] == std::byte{0});
  CHECK(slice.copy_to(std::span<std::byte>()) == 0);
  CHECK(GuestSlice().copy_from(from) == 0);
  CHECK(GuestSlice().copy_to(to) == 0);
  CHECK(GuestSlice().copy_to(slice) == 0);
  GuestSlice().fill(std::byte{9});

  // 9 bytes hold four whole elements of two bytes.
  std::array<std::uint16_t, 8> words{1, 2, 3, 4, 5, 6, 7, 8};
  CHECK(slice.copy_from(std::span<const std::uint16_t>(words)) == 4);
  CHECK(ram.bytes[8] == std::byte{5});
  std::array<std::uint16_t, 3> three{};
  CHECK(slice.copy_to(std::span<std::uint16_t>(three)) == 3);
  CHECK(three == std::array<std::uint16_t, 3>{1, 2, 3});
}

TEST_CASE("a copy between slices may overlap", "[guest_slice]") {
  for (const std::size_t to : std::initializer_list<std::size_t>{0, 1, 7, 40}) {
    Ram ram;
    for (std::size_t i = 0; i < ram.bytes.size(); ++i) ram.bytes[i] = static_cast<std::byte>(i);
    const GuestSlice whole = ram.first(256);
    CHECK(whole.subslice(10, 100)->copy_to(*whole.subslice(to)) == 100);
    for (std::size_t i = 0; i < 100; ++i)
      CHECK(ram.bytes[to + i] == static_cast<std::byte>(i + 10));
  }
}

TEST_CASE("copies of every size and alignment move each byte once", "[guest_slice]") {
  std::vector<std::byte> ram(1024);
  std::vector<std::byte> source(1024);
  for (std::size_t i = 0; i < source.size(); ++i) source[i] = static_cast<std::byte>(i * 7 + 1);
  for (std::size_t at = 64; at < 96; ++at) {
    for (const std::size_t n : std::initializer_list<std::size_t>{
             0,  1,  2,  3,  4,  5,   6,   7,   8,   9,   15,  16,  17,  23, 31,
             33, 47, 63, 64, 65, 100, 127, 129, 200, 255, 256, 257, 300, 700}) {
      std::fill(ram.begin(), ram.end(), std::byte{0});
      const GuestSlice slice(std::span<std::byte>(ram).subspan(at, n));
      REQUIRE(slice.copy_from(source) == n);
      std::vector<std::byte> expected(1024);
      std::copy_n(source.begin(), n, expected.begin() + static_cast<std::ptrdiff_t>(at));
      REQUIRE(ram == expected);
      std::vector<std::byte> out(n + 1);
      REQUIRE(slice.copy_to(out) == n);
      REQUIRE(std::equal(out.begin(), out.end() - 1, source.begin()));
      REQUIRE(out[n] == std::byte{0});
    }
  }
}

TEST_CASE("single words are loaded and stored atomically", "[guest_slice]") {
  Ram ram;
  const GuestSlice slice = ram.first(16);
  slice.store<Le16, std::memory_order_release>(Le16(0x1234), 2);
  CHECK(slice.load<Le16, std::memory_order_acquire>(2).get() == 0x1234);
  slice.store<std::uint64_t>(7, 8);
  CHECK(slice.load<std::uint64_t>(8) == 7);
  CHECK(slice.load<std::uint8_t>(15) == 0);
  CHECK(slice.is_aligned(8, 8));
  CHECK_FALSE(slice.is_aligned(8, 4));
}

TEST_CASE("an array is checked once", "[guest_array][hostile]") {
  Ram ram;
  const GuestSlice slice = ram.first(64);
  const auto array = GuestArray<Le16>::create(*slice.subslice(2, 8), 4);
  REQUIRE(array);
  CHECK(array->size() == 4);
  array->store<std::memory_order_release>(3, Le16(9));
  CHECK(array->load<std::memory_order_acquire>(3).get() == 9);
  CHECK(ram.bytes[8] == std::byte{9});
  CHECK(GuestArray<Le32>::create(*slice.subslice(2), 1).error() == MemoryError::kMisaligned);
  CHECK(GuestArray<Le32>::create(slice, 17).error() == MemoryError::kOutOfBounds);
  CHECK(GuestArray<Le32>::create(slice, kMax / 2).error() == MemoryError::kOverflow);
  CHECK(GuestArray<Le32>::create(slice, 16)->size() == 16);
  CHECK(GuestArray<Le32>().size() == 0);
}

TEST_CASE("every write through a slice marks the place it has in the region", "[guest_slice]") {
  std::vector<std::byte> ram(64 * 128);
  DirtyBitmap bitmap(ram.size(), 128);
  const GuestSlice whole(std::span<std::byte>(ram), {&bitmap, 0});
  const GuestSlice part = *whole.split_at(128 * 4)->second.subslice(128, 512);  // pages 5 to 8
  std::vector<std::byte> bytes(130);
  std::vector<std::uint32_t> words(33);
  const auto dirty = [&] { return bitmap.get_and_reset()[0]; };
  part.store<Le16>(Le16(1), 0);
  CHECK(dirty() == 1 << 5);
  REQUIRE(part.write(Le32(1), 126));
  CHECK(dirty() == 3 << 5);
  part.copy_from(bytes);
  CHECK(dirty() == 3 << 5);
  part.copy_from(std::span<const std::uint32_t>(words));
  CHECK(dirty() == 3 << 5);
  part.fill(std::byte{1});
  CHECK(dirty() == 15 << 5);
  CHECK(whole.copy_to(part) == 512);  // the target is marked, the source is not
  CHECK(dirty() == 15 << 5);
  GuestArray<Le16>::create(part, 256)->store(255, Le16(1));
  CHECK(dirty() == 8 << 5);
  part.mark_dirty(128, kMax);
  CHECK(dirty() == 14 << 5);
  part.mark_dirty(512, 1);
  part.mark_dirty(0, 0);
  CHECK_FALSE(part.write(Le32(1), 510));
  (void)part.copy_to(bytes);
  (void)part.load<Le16>(0);
  (void)*part.read<Le32>(1);
  CHECK(part.copy_from(std::span<const std::byte>()) == 0);
  CHECK(dirty() == 0);
}

}  // namespace
}  // namespace vmm::vm_memory
