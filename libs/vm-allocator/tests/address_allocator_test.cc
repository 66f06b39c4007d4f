// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_allocator/address_allocator.h"

#include <catch2/catch.hpp>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <vector>

using namespace vmm;
using namespace vmm::vm_allocator;

namespace {

constexpr std::uint64_t kMax = ~std::uint64_t{0};

AddressAllocator pool(std::uint64_t first, std::uint64_t size) {
  return *AddressAllocator::create(*AddressRange::from_size(first, size));
}

std::vector<AddressRange> free_ranges(const AddressAllocator& allocator) {
  std::vector<AddressRange> ranges;
  allocator.for_each_free([&](AddressRange range) { ranges.push_back(range); });
  return ranges;
}

std::vector<AddressRange> allocated_ranges(const AddressAllocator& allocator) {
  std::vector<AddressRange> ranges;
  allocator.for_each_allocated([&](AddressRange range) { ranges.push_back(range); });
  return ranges;
}

enum class Policy { kFirst, kLast, kAt };

struct Step {
  Policy policy;
  std::uint64_t at;
  Block block;
  std::optional<AddressRange> got;  // nullopt: refused as unavailable
};

struct Scenario {
  const char* name;
  AddressRange range;
  std::vector<Step> steps;
};

Result<AddressRange, AllocError> perform(AddressAllocator& allocator, const Step& step) {
  switch (step.policy) {
    case Policy::kFirst:
      return allocator.allocate_first(step.block);
    case Policy::kLast:
      return allocator.allocate_last(step.block);
    case Policy::kAt:
      return allocator.allocate_at(step.at, step.block);
  }
  return fail(AllocError::kBadSize);
}

}  // namespace

TEST_CASE("blocks go where the policy says") {
  using enum Policy;
  const auto scenario = GENERATE(values<Scenario>({
      {"first match leaves the gap that alignment makes",
       {0x1000, 0x1fff},
       {{kFirst, 0, {0x110, 0x100}, AddressRange{0x1000, 0x110f}},
        {kFirst, 0, {0x100, 0x100}, AddressRange{0x1200, 0x12ff}},
        {kFirst, 0, {0x10, 0x100}, AddressRange{0x1300, 0x130f}},
        {kFirst, 0, {0xf0, 0x10}, AddressRange{0x1110, 0x11ff}}}},
      {"last match aligns downwards",
       {0x1000, 0x10fff},
       {{kLast, 0, {0x110, 0x100}, AddressRange{0x10e00, 0x10f0f}},
        {kLast, 0, {0x100, 0x100}, AddressRange{0x10d00, 0x10dff}},
        {kLast, 0, {0x10, 0x100}, AddressRange{0x10c00, 0x10c0f}}}},
      {"last match, then what does not fit, then first match",
       {0x1000, 0x1fff},
       {{kLast, 0, {0x800, 0x100}, AddressRange{0x1800, 0x1fff}},
        {kLast, 0, {0x900, 0x100}, std::nullopt},
        {kFirst, 0, {0x400, 0x100}, AddressRange{0x1000, 0x13ff}}}},
      {"exact match among others",
       {0x1000, 0x1fff},
       {{kFirst, 0, {0x800, 0x100}, AddressRange{0x1000, 0x17ff}},
        {kAt, 0x1a00, {0x200, 0x100}, AddressRange{0x1a00, 0x1bff}},
        {kAt, 0x1800, {0x800, 0x100}, std::nullopt},
        {kAt, 0x1800, {0x100, 0x100}, AddressRange{0x1800, 0x18ff}}}},
      {"exact match in descending order",
       {0, 0x1fff},
       {{kAt, 0x1000, {0x1000, 0x1000}, AddressRange{0x1000, 0x1fff}},
        {kAt, 0, {0x1000, 0x1000}, AddressRange{0, 0xfff}},
        {kFirst, 0, {1, 1}, std::nullopt}}},
      {"exact match with a size that is not aligned",
       {0, 0xfff},
       {{kAt, 0x500, {0x4fe, 0x100}, AddressRange{0x500, 0x9fd}}}},
      {"exact match outside and across the borders",
       {0x1000, 0x1fff},
       {{kAt, 0, {0x100, 0x100}, std::nullopt},
        {kAt, 0xf00, {0x200, 0x100}, std::nullopt},
        {kAt, 0x1f00, {0x200, 0x100}, std::nullopt},
        {kAt, 0x2000, {0x100, 0x100}, std::nullopt},
        {kAt, kMax, {2, 1}, std::nullopt}}},
      {"the one address that alignment left over is used",
       {1, 1000},
       {{kFirst, 0, {10, 2}, AddressRange{2, 11}}, {kFirst, 0, {1, 1}, AddressRange{1, 1}}}},
      {"the whole 64-bit space, one address short",
       {0, kMax},
       {{kFirst, 0, {kMax, 1}, AddressRange{0, kMax - 1}},
        {kFirst, 0, {1, 1}, AddressRange{kMax, kMax}},
        {kFirst, 0, {1, 1}, std::nullopt}}},
      {"both ends of the 64-bit space",
       {0, kMax},
       {{kLast, 0, {0x1000, 0x1000}, AddressRange{kMax - 0xfff, kMax}},
        {kFirst, 0, {0x1000, 0x1000}, AddressRange{0, 0xfff}},
        {kLast,
         0,
         {1, std::uint64_t{1} << 63},
         AddressRange{std::uint64_t{1} << 63, std::uint64_t{1} << 63}},
        {kLast, 0, {1, std::uint64_t{1} << 63}, std::nullopt}}},
      {"aligning upwards does not wrap at the top",
       {kMax - 10, kMax},
       {{kFirst, 0, {1, 0x100}, std::nullopt}, {kLast, 0, {11, 1}, AddressRange{kMax - 10, kMax}}}},
      {"a block larger than the pool", {0x1000, 0x1fff}, {{kFirst, 0, {0x1001, 1}, std::nullopt}}},
  }));
  INFO(scenario.name);
  AddressAllocator allocator = *AddressAllocator::create(scenario.range);
  for (const Step& step : scenario.steps) {
    const auto got = perform(allocator, step);
    REQUIRE(got.has_value() == step.got.has_value());
    if (step.got) {
      REQUIRE(*got == *step.got);
    } else {
      REQUIRE(got.error() == AllocError::kUnavailable);
    }
  }
}

TEST_CASE("a range whose first address is above its last is refused", "[hostile]") {
  REQUIRE(AddressAllocator::create({2, 1}).error() == AllocError::kBadRange);
  REQUIRE(AddressAllocator::create({2, 2}).has_value());
}

TEST_CASE("blocks that make no sense are refused and change nothing", "[hostile]") {
  AddressAllocator allocator = pool(0x1000, 0x1000);
  for (const auto policy : {Policy::kFirst, Policy::kLast, Policy::kAt}) {
    REQUIRE(perform(allocator, {policy, 0x1000, {0, 1}, {}}).error() == AllocError::kBadSize);
    for (const std::uint64_t alignment : {0ul, 200ul, 3ul}) {
      REQUIRE(perform(allocator, {policy, 0x1000, {1, alignment}, {}}).error() ==
              AllocError::kBadAlignment);
    }
  }
  REQUIRE(allocator.allocate_at(3, {1, 0x1000}).error() == AllocError::kUnaligned);
  REQUIRE(allocator.count() == 0);
  REQUIRE(free_ranges(allocator) == std::vector<AddressRange>{{0x1000, 0x1fff}});
}

TEST_CASE("only exactly what was handed out can be freed", "[hostile]") {
  AddressAllocator allocator = pool(0x1000, 0x1000);
  REQUIRE(allocator.free({0, 0}).error() == AllocError::kNotAllocated);
  const AddressRange range = *allocator.allocate_first({0x100});
  const std::vector<AddressRange> others = {{0x1000, 0x10fe}, {0x1000, 0x1100}, {0x1001, 0x10ff},
                                            {0xfff, 0x10ff},  {0x1100, 0x11ff}, {0x1000, 0xfff}};
  for (const AddressRange& other : others) {
    REQUIRE(allocator.free(other).error() == AllocError::kNotAllocated);
  }
  REQUIRE(allocator.free(range).has_value());
  REQUIRE(allocator.free(range).error() == AllocError::kNotAllocated);
}

TEST_CASE("what was freed is found again, and freed neighbours become one gap") {
  AddressAllocator allocator = pool(0x1000, 0x1000);
  std::vector<AddressRange> ranges;
  for (int i = 0; i < 4; ++i) ranges.push_back(*allocator.allocate_first({0x400}));
  REQUIRE(allocator.allocate_first({1}).error() == AllocError::kUnavailable);

  REQUIRE(allocator.free(ranges[1]).has_value());
  REQUIRE(*allocator.allocate_first({0x400}) == ranges[1]);

  // In every order of three neighbours.
  const std::vector<std::vector<std::size_t>> orders = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                                        {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
  for (const auto& order : orders) {
    for (const std::size_t i : order) REQUIRE(allocator.free(ranges[i]).has_value());
    REQUIRE(*allocator.allocate_first({0xc00}) == AddressRange{0x1000, 0x1bff});
    REQUIRE(allocator.free({0x1000, 0x1bff}).has_value());
    for (int i = 0; i < 3; ++i) REQUIRE(allocator.allocate_first({0x400}).has_value());
  }
}

TEST_CASE("free and allocated ranges are listed in order") {
  AddressAllocator allocator = pool(0x1000, 0x1000);
  REQUIRE(free_ranges(allocator) == std::vector<AddressRange>{{0x1000, 0x1fff}});
  REQUIRE(allocated_ranges(allocator).empty());
  REQUIRE(allocator.allocate_at(0x1200, {0x100}).has_value());
  REQUIRE(allocator.allocate_at(0x1300, {0x100}).has_value());
  REQUIRE(allocator.allocate_at(0x1f00, {0x100}).has_value());
  REQUIRE(free_ranges(allocator) == std::vector<AddressRange>{{0x1000, 0x11ff}, {0x1400, 0x1eff}});
  REQUIRE(allocated_ranges(allocator) ==
          std::vector<AddressRange>{{0x1200, 0x12ff}, {0x1300, 0x13ff}, {0x1f00, 0x1fff}});
  REQUIRE(allocator.next_free(0x11ff) == AddressRange{0x1000, 0x11ff});
  REQUIRE(allocator.next_free(0x1200) == AddressRange{0x1400, 0x1eff});
  REQUIRE(allocator.next_free(0x1f00) == std::nullopt);
  REQUIRE(allocator.next_allocated(0x12ff) == AddressRange{0x1200, 0x12ff});
  REQUIRE(allocator.next_allocated(0x1400) == AddressRange{0x1f00, 0x1fff});
  REQUIRE(allocator.next_allocated(0x2000) == std::nullopt);
  REQUIRE(allocator.count() == 3);
}

TEST_CASE("lists end at the top of the 64-bit space") {
  AddressAllocator allocator = *AddressAllocator::create({0, kMax});
  REQUIRE(free_ranges(allocator) == std::vector<AddressRange>{{0, kMax}});
  REQUIRE(allocator.allocate_at(kMax, {1}).has_value());
  REQUIRE(free_ranges(allocator) == std::vector<AddressRange>{{0, kMax - 1}});
  REQUIRE(allocated_ranges(allocator) == std::vector<AddressRange>{{kMax, kMax}});
  REQUIRE(allocator.free({kMax, kMax}).has_value());
  REQUIRE(free_ranges(allocator) == std::vector<AddressRange>{{0, kMax}});
}

namespace {

/// The same allocator, the simple way: a map walked from end to end.
class Model {
 public:
  explicit Model(AddressRange range) : range_(range) {}

  [[nodiscard]] std::vector<AddressRange> gaps() const {
    std::vector<AddressRange> gaps;
    std::uint64_t from = range_.first;
    for (const auto& [first, last] : taken_) {
      if (from < first) gaps.push_back({from, first - 1});
      from = last + 1;
    }
    if (from <= range_.last) gaps.push_back({from, range_.last});
    return gaps;
  }

  [[nodiscard]] std::optional<AddressRange> place(const Step& step) {
    std::optional<AddressRange> best;
    const std::uint64_t mask = step.block.alignment - 1;
    for (const AddressRange& gap : gaps()) {
      if (gap.size() < step.block.size) continue;
      const std::uint64_t low = (gap.first + mask) & ~mask;
      const std::uint64_t high = (gap.last - (step.block.size - 1)) & ~mask;
      const std::uint64_t first = step.policy == Policy::kFirst  ? low
                                  : step.policy == Policy::kLast ? high
                                                                 : step.at;
      const AddressRange candidate{first, first + step.block.size - 1};
      if ((first & mask) != 0 || !gap.contains(candidate)) continue;
      if (!best || step.policy == Policy::kLast) best = candidate;
    }
    if (best) taken_[best->first] = best->last;
    return best;
  }

  void free(AddressRange range) { taken_.erase(range.first); }
  [[nodiscard]] const std::map<std::uint64_t, std::uint64_t>& taken() const { return taken_; }

 private:
  AddressRange range_;
  std::map<std::uint64_t, std::uint64_t> taken_;
};

}  // namespace

TEST_CASE("thousands of random operations agree with a simple model") {
  std::mt19937 random(GENERATE(1u, 2u, 3u, 4u));
  const auto below = [&](std::uint64_t bound) { return random() % bound; };
  const AddressRange range{0x1003, 0x4fff};
  AddressAllocator allocator = *AddressAllocator::create(range);
  Model model(range);
  for (int i = 0; i < 4000; ++i) {
    if (below(5) < 2 && !model.taken().empty()) {
      const auto victim = std::next(model.taken().begin(),
                                    static_cast<std::ptrdiff_t>(below(model.taken().size())));
      const AddressRange freed{victim->first, victim->second};
      model.free(freed);
      REQUIRE(allocator.free(freed).has_value());
    } else {
      const std::uint64_t alignment = std::uint64_t{1} << below(9);
      const Step step{static_cast<Policy>(below(3)),
                      (range.first + below(0x4000)) & ~(alignment - 1),
                      {1 + below(0x80), alignment},
                      {}};
      const auto got = perform(allocator, step);
      const auto expected = model.place(step);
      REQUIRE(got.has_value() == expected.has_value());
      if (expected) REQUIRE(*got == *expected);
    }
    if (i % 16 == 0) REQUIRE(free_ranges(allocator) == model.gaps());
  }
  REQUIRE(allocator.count() == model.taken().size());
  while (!model.taken().empty()) {
    const AddressRange freed{model.taken().begin()->first, model.taken().begin()->second};
    model.free(freed);
    REQUIRE(allocator.free(freed).has_value());
  }
  REQUIRE(free_ranges(allocator) == std::vector<AddressRange>{range});
}
