// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_memory/dirty_bitmap.h"

#include <array>
#include <catch2/catch.hpp>
#include <cstdint>
#include <vector>

namespace vmm::vm_memory {
namespace {

constexpr std::uint64_t kMax = ~std::uint64_t{0};

TEST_CASE("each begun page has a bit", "[dirty_bitmap]") {
  CHECK(DirtyBitmap(1025, 128).page_count() == 9);
  CHECK(DirtyBitmap(1024, 128).page_count() == 8);
  CHECK(DirtyBitmap(0, 128).page_count() == 0);
  CHECK(DirtyBitmap(1, 1).page_count() == 1);
  CHECK(DirtyBitmap(kMax, std::uint64_t{1} << 60).page_count() == 16);
  CHECK(DirtyBitmap(65 * 4096).word_count() == 2);
  CHECK(DirtyBitmap(4096, 100).page_bytes() == 64);
  CHECK(DirtyBitmap(4096, 0).page_bytes() == 1);
}

struct MarkCase {
  std::uint64_t offset;
  std::uint64_t bytes;
  std::uint64_t word0;
  std::uint64_t word1;
};

TEST_CASE("a mark covers the pages that the range touches", "[dirty_bitmap]") {
  for (const MarkCase& c : {
           MarkCase{0, 0, 0, 0},
           MarkCase{500, 0, 0, 0},
           MarkCase{0, 1, 1, 0},
           MarkCase{127, 1, 1, 0},
           MarkCase{127, 2, 3, 0},
           MarkCase{128, 129, 6, 0},
           MarkCase{128, 128, 2, 0},
           MarkCase{63 * 128, 129, std::uint64_t{1} << 63, 1},
           MarkCase{0, 100 * 128, kMax, (std::uint64_t{1} << 36) - 1},
           MarkCase{99 * 128, 128, 0, std::uint64_t{1} << 35},
           MarkCase{99 * 128, kMax, 0, std::uint64_t{1} << 35},
           MarkCase{100 * 128, 1, 0, 0},
           MarkCase{100 * 128, kMax, 0, 0},
           MarkCase{kMax, 1, 0, 0},
           MarkCase{kMax, kMax, 0, 0},
           MarkCase{2, kMax, kMax, (std::uint64_t{1} << 36) - 1},
           MarkCase{1, kMax, kMax, (std::uint64_t{1} << 36) - 1},
       }) {
    INFO(c.offset << " " << c.bytes);
    DirtyBitmap bitmap(100 * 128, 128);
    bitmap.mark(c.offset, c.bytes);
    const DirtyBitmap copy(bitmap);
    CHECK(bitmap.get_and_reset() == std::vector<std::uint64_t>{c.word0, c.word1});
    CHECK(bitmap.get_and_reset() == std::vector<std::uint64_t>{0, 0});
    // The copy kept its own bits.
    CHECK(copy.is_dirty(0) == ((c.word0 & 1) != 0));
    CHECK(copy.is_dirty(64 * 128) == ((c.word1 & 1) != 0));
    // Clearing covers the same pages.
    DirtyBitmap full(100 * 128, 128);
    full.mark(0, kMax);
    full.clear(c.offset, c.bytes);
    const auto left = full.get_and_reset();
    CHECK(left[0] == ~c.word0);
    CHECK(left[1] == (((std::uint64_t{1} << 36) - 1) & ~c.word1));
  }
}

TEST_CASE("a part of the words is harvested, and the others keep their bits", "[dirty_bitmap]") {
  DirtyBitmap bitmap(300 * 128, 128);  // 5 words
  for (const std::uint64_t page : {std::uint64_t{0}, std::uint64_t{64}, std::uint64_t{299}}) {
    bitmap.mark(page * 128, 1);
  }
  std::array<std::uint64_t, 2> out{7, 7};
  CHECK(bitmap.get_and_reset(out, 1) == 1);
  CHECK(out == std::array<std::uint64_t, 2>{1, 0});
  CHECK(bitmap.get_and_reset(out, 4) == 1);
  CHECK(out == std::array<std::uint64_t, 2>{std::uint64_t{1} << (299 - 256), 0});
  CHECK(bitmap.get_and_reset(out, 5) == 0);
  CHECK(bitmap.get_and_reset(out, ~std::size_t{0}) == 0);
  CHECK(out == std::array<std::uint64_t, 2>{});
  CHECK(bitmap.get_and_reset(out) == 1);
  CHECK(out == std::array<std::uint64_t, 2>{1, 0});
}

TEST_CASE("a bitmap of no pages ignores everything", "[dirty_bitmap]") {
  DirtyBitmap bitmap(0);
  bitmap.mark(0, 1);
  bitmap.mark(0, kMax);
  bitmap.clear_all();
  CHECK_FALSE(bitmap.is_dirty(0));
  CHECK_FALSE(bitmap.is_dirty(kMax));
  CHECK(bitmap.get_and_reset().empty());
}

TEST_CASE("a harvest into a shorter list leaves the rest marked", "[dirty_bitmap]") {
  DirtyBitmap bitmap(128 * 4096);
  bitmap.mark(0, kMax);
  std::vector<std::uint64_t> one(1);
  CHECK(bitmap.get_and_reset(one) == 1);
  CHECK(one[0] == kMax);
  CHECK_FALSE(bitmap.is_dirty(0));
  CHECK(bitmap.is_dirty(64 * 4096));
  std::vector<std::uint64_t> three(3, 7);
  CHECK(bitmap.get_and_reset(three) == 1);
  CHECK(three == std::vector<std::uint64_t>{0, kMax, 0});
}

TEST_CASE("a bitmap grows and keeps its bits", "[dirty_bitmap]") {
  DirtyBitmap bitmap(10 * 128, 128);
  bitmap.mark(9 * 128, 1);
  bitmap.enlarge(90 * 128);
  CHECK(bitmap.page_count() == 100);
  CHECK(bitmap.bytes() == 100 * 128);
  CHECK(bitmap.get_and_reset() == std::vector<std::uint64_t>{1 << 9, 0});
  bitmap.mark(99 * 128, 1);
  CHECK(bitmap.is_dirty(99 * 128));
  CHECK_FALSE(bitmap.is_dirty(98 * 128));
}

}  // namespace
}  // namespace vmm::vm_memory
