// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_allocator/id_allocator.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdint>
#include <limits>
#include <random>
#include <set>

#include "errors.h"

using namespace vmm;
using namespace vmm::vm_allocator;

TEST_CASE("a range of ids whose first is above its last is refused", "[hostile]") {
  REQUIRE(IdAllocator<>::create({23, 5}).error() == AllocError::kBadRange);
  REQUIRE(IdAllocator<>::create({5, 5}).has_value());
}

TEST_CASE("ids come in ascending order until none is left") {
  IdAllocator ids = *IdAllocator<>::create({5, 23});
  for (std::uint32_t id = 5; id <= 23; ++id) REQUIRE(*ids.allocate() == id);
  REQUIRE(ids.allocate().error() == AllocError::kUnavailable);
  REQUIRE(ids.allocate().error() == AllocError::kUnavailable);
}

TEMPLATE_TEST_CASE("the last ids of the type are handed out once", "", std::uint8_t, std::uint16_t,
                   std::uint32_t, std::uint64_t) {
  constexpr TestType kMax = std::numeric_limits<TestType>::max();
  auto ids = *IdAllocator<TestType>::create({kMax - 1, kMax});
  REQUIRE(*ids.allocate() == kMax - 1);
  REQUIRE(*ids.allocate() == kMax);
  REQUIRE(ids.allocate().error() == AllocError::kUnavailable);
  REQUIRE(ids.free(kMax).has_value());
  REQUIRE(*ids.allocate() == kMax);
}

TEST_CASE("a range can be all the numbers of the type") {
  auto small = *IdAllocator<std::uint8_t>::create({0, 255});
  for (int i = 0; i < 256; ++i) REQUIRE(*small.allocate() == i);
  REQUIRE(small.allocate().error() == AllocError::kUnavailable);
  auto large = *IdAllocator<std::uint64_t>::create({0, ~std::uint64_t{0}});
  REQUIRE(*large.allocate() == 0);
  REQUIRE_FALSE(large.is_allocated(~std::uint64_t{0}));
}

TEST_CASE("freed ids come again, the lowest first") {
  IdAllocator ids = *IdAllocator<>::create({5, 23});
  for (int i = 0; i < 10; ++i) REQUIRE(ids.allocate().has_value());  // 5 to 14
  REQUIRE(ids.free(10).has_value());
  REQUIRE(ids.free(9).has_value());
  REQUIRE(*ids.allocate() == 9);
  REQUIRE(*ids.allocate() == 10);
  REQUIRE(*ids.allocate() == 15);
}

TEST_CASE("ids that are not handed out cannot be freed", "[hostile]") {
  IdAllocator ids = *IdAllocator<>::create({5, 23});
  REQUIRE(ids.free(4).error() == AllocError::kOutOfRange);
  REQUIRE(ids.free(24).error() == AllocError::kOutOfRange);
  REQUIRE(ids.free(5).error() == AllocError::kNeverAllocated);  // the next one to come
  REQUIRE(*ids.allocate() == 5);
  REQUIRE(ids.free(6).error() == AllocError::kNeverAllocated);
  REQUIRE(ids.free(23).error() == AllocError::kNeverAllocated);
  REQUIRE(ids.free(5).has_value());
  REQUIRE(ids.free(5).error() == AllocError::kAlreadyFree);
  REQUIRE(*ids.allocate() == 5);
  REQUIRE(*ids.allocate() == 6);
}

TEST_CASE("an id can be had by its number, and those below it come next") {
  IdAllocator ids = *IdAllocator<>::create({5, 23});
  REQUIRE(*ids.allocate_at(9) == 9);
  REQUIRE(ids.allocate_at(9).error() == AllocError::kUnavailable);
  REQUIRE(ids.is_allocated(9));
  REQUIRE_FALSE(ids.is_allocated(8));
  for (const std::uint32_t id : {5u, 6u}) REQUIRE(*ids.allocate() == id);
  REQUIRE(*ids.allocate_at(8) == 8);
  REQUIRE(*ids.allocate() == 7);
  REQUIRE(*ids.allocate() == 10);
  REQUIRE(ids.free(9).has_value());
  REQUIRE(*ids.allocate_at(9) == 9);
  REQUIRE(*ids.allocate_at(23) == 23);
  for (std::uint32_t id = 11; id <= 22; ++id) REQUIRE(*ids.allocate() == id);
  REQUIRE(ids.allocate().error() == AllocError::kUnavailable);
}

TEST_CASE("ids that cannot be had by their number are refused, and nothing changes", "[hostile]") {
  IdAllocator ids = *IdAllocator<>::create({5, 23});
  REQUIRE(ids.allocate_at(4).error() == AllocError::kOutOfRange);
  REQUIRE(ids.allocate_at(24).error() == AllocError::kOutOfRange);
  REQUIRE(*ids.allocate() == 5);

  using Wide = IdAllocator<std::uint64_t>;
  auto wide = *Wide::create({0, ~std::uint64_t{0}});
  REQUIRE(wide.allocate_at(Wide::kMaxPassedOver + 1).error() == AllocError::kUnavailable);
  REQUIRE(wide.allocate_at(~std::uint64_t{0}).error() == AllocError::kUnavailable);
  REQUIRE(*wide.allocate_at(Wide::kMaxPassedOver) == Wide::kMaxPassedOver);
  REQUIRE(*wide.allocate() == 0);
}

TEST_CASE("whether an id is handed out is known") {
  IdAllocator ids = *IdAllocator<>::create({5, 23});
  REQUIRE_FALSE(ids.is_allocated(5));
  REQUIRE(*ids.allocate() == 5);
  REQUIRE(ids.is_allocated(5));
  REQUIRE_FALSE(ids.is_allocated(6));
  REQUIRE_FALSE(ids.is_allocated(4));
  REQUIRE_FALSE(ids.is_allocated(24));
  REQUIRE(ids.free(5).has_value());
  REQUIRE_FALSE(ids.is_allocated(5));
}

TEST_CASE("random operations on many ids agree with a set") {
  std::mt19937 random(7);
  IdAllocator ids = *IdAllocator<>::create({100, 100 + 9999});
  std::set<std::uint32_t> freed;
  std::set<std::uint32_t> taken;
  std::uint32_t next = 100;
  for (int i = 0; i < 30000; ++i) {
    if (random() % 5 < 2 && !taken.empty()) {
      const auto victim = taken.lower_bound(100 + static_cast<std::uint32_t>(random() % 10000));
      if (victim == taken.end()) continue;
      REQUIRE(ids.free(*victim).has_value());
      freed.insert(*victim);
      taken.erase(victim);
      continue;
    }
    if (random() % 8 == 0) {
      const std::uint32_t id =
          std::min(next + 10, 100 + static_cast<std::uint32_t>(random() % 10000));
      if (taken.contains(id)) {
        REQUIRE(ids.allocate_at(id).error() == AllocError::kUnavailable);
        continue;
      }
      REQUIRE(*ids.allocate_at(id) == id);
      for (; next <= id; ++next) freed.insert(next);
      freed.erase(id);
      taken.insert(id);
      continue;
    }
    if (freed.empty() && next == 10100) continue;
    const std::uint32_t expected = freed.empty() ? next++ : *freed.begin();
    freed.erase(expected);
    taken.insert(expected);
    REQUIRE(*ids.allocate() == expected);
  }
  for (std::uint32_t id = 100; id < 10100; ++id) {
    REQUIRE(ids.is_allocated(id) == taken.contains(id));
  }
}

TEST_CASE("each refusal has a text of its own") { check_words(AllocError::kAlreadyFree); }
