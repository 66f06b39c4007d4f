// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_memory/translation_builder.h"

#include <catch2/catch.hpp>

namespace vmm::vm_memory {
namespace {

constexpr std::uint64_t kPage = 4096;

class NoFaults final : public FaultHandler {
 public:
  void missing(Iova, std::uint64_t, Access) override {}
  void denied(Iova, std::uint64_t, Access) override {}
};

/// Guest RAM [0x10000, 0x14000), [0x14000, 0x16000), and after a hole [0x20000, 0x22000).
GuestMemory three_regions() {
  const RegionConfig regions[] = {{.base = GuestAddress(0x1'0000), .bytes = 4 * kPage},
                                  {.base = GuestAddress(0x1'4000), .bytes = 2 * kPage},
                                  {.base = GuestAddress(0x2'0000), .bytes = 2 * kPage}};
  return *GuestMemory::create(regions);
}

struct Wanted {
  std::uint64_t iova;
  std::uint64_t bytes;
  std::uint64_t target;
  Access access;
};

std::vector<Wanted> seen(const RegionMap& map, const RegionMap& physical) {
  std::vector<Wanted> all;
  for (std::size_t i = 0; i < map.view().regions().size(); ++i) {
    const RegionSpan& span = map.view().regions()[i];
    for (const auto& region : physical.regions()) {
      const std::byte* const host = region->host().data();
      if (span.host.data() < host || span.host.data() >= host + region->bytes()) continue;
      const auto offset = static_cast<std::uint64_t>(span.host.data() - host);
      all.push_back({span.base.raw(), span.host.size(), region->base().raw() + offset,
                     map.translation()->access[i]});
    }
  }
  return all;
}

TEST_CASE("mappings become regions at I/O addresses", "[translation]") {
  struct Case {
    const char* what;
    std::vector<Wanted> add;
    std::vector<bool> added;
    std::size_t regions;
  };
  constexpr Access kRead = Access::kRead;
  constexpr Access kBoth = Access::kReadWrite;
  const std::vector<Case> cases{
      {"none", {}, {}, 0},
      {"one", {{0, kPage, 0x1'0000, kRead}}, {true}, 1},
      {"neighbours are one",
       {{0, kPage, 0x1'0000, kRead}, {kPage, kPage, 0x1'1000, kRead}},
       {true, true},
       1},
      {"not with other rights",
       {{0, kPage, 0x1'0000, kRead}, {kPage, kPage, 0x1'1000, kBoth}},
       {true, true},
       2},
      {"not with other memory",
       {{0, kPage, 0x1'0000, kRead}, {kPage, kPage, 0x1'2000, kRead}},
       {true, true},
       2},
      {"not with a hole",
       {{0, kPage, 0x1'0000, kRead}, {2 * kPage, kPage, 0x1'1000, kRead}},
       {true, true},
       2},
      {"the same memory",
       {{0, kPage, 0x1'0000, kRead}, {kPage, kPage, 0x1'0000, kRead}},
       {true, true},
       2},
      {"below RAM", {{0, kPage, 0xf000, kRead}}, {false}, 0},
      {"across a hole", {{0, 0x2'0000, 0x1'0000, kRead}}, {false}, 0},
      {"a hole between good ones",
       {{0, kPage, 0x1'0000, kRead},
        {kPage, kPage, 0x1'6000, kRead},
        {2 * kPage, kPage, 0x2'0000, kRead}},
       {true, false, true},
       2},
      {"at the end of all", {{~std::uint64_t{0xfff}, kPage, 0x1'0000, kRead}}, {true}, 1},
      {"all there is", {{0, 0, 0, kRead}}, {false}, 0},
  };
  const GuestMemory memory = three_regions();
  for (const Case& one : cases) {
    CAPTURE(one.what);
    TranslationBuilder builder(memory.snapshot());
    std::vector<bool> added;
    std::uint64_t bytes = 0;
    for (const Wanted& want : one.add) {
      added.push_back(builder.add({.iova = Iova(want.iova),
                                   .bytes_less_one = want.bytes - 1,
                                   .target = GuestAddress(want.target),
                                   .access = want.access}));
      bytes += added.back() ? want.bytes : 0;
    }
    CHECK(added == one.added);
    const auto map = std::move(builder).build({.faults = std::make_shared<NoFaults>()});
    CHECK(map->view().regions().size() == one.regions);
    CHECK_FALSE(map->translation()->complete);
    std::uint64_t sum = 0;
    for (const Wanted& found : seen(*map, *memory.snapshot())) sum += found.bytes;
    CHECK(sum == bytes);
  }
}

TEST_CASE("a mapping across regions that touch is a region for each", "[translation]") {
  const GuestMemory memory = three_regions();
  TranslationBuilder builder(memory.snapshot());
  REQUIRE(builder.add({.iova = Iova(0x9000),
                       .bytes_less_one = 4 * kPage - 1,
                       .target = GuestAddress(0x1'2000),
                       .access = Access::kWrite}));
  const auto map =
      std::move(builder).build({.faults = std::make_shared<NoFaults>(), .complete = true});
  CHECK(map->translation()->complete);
  std::uint64_t next = 0x9000;
  std::uint64_t target = 0x1'2000;
  for (const Wanted& found : seen(*map, *memory.snapshot())) {
    CHECK(found.iova == next);
    CHECK(found.target == target);
    CHECK(found.access == Access::kWrite);
    next += found.bytes;
    target += found.bytes;
  }
  CHECK(next == 0xd000);
}

}  // namespace
}  // namespace vmm::vm_memory
