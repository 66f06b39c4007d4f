// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Each rule of the requests: virtio 1.3, 5.13.6.

#include <atomic>
#include <catch2/catch.hpp>

#include "iommu_rig.h"

namespace vmm::virtio_iommu {
namespace {

constexpr std::uint64_t kMax = ~std::uint64_t{0};

struct Step {
  const char* what;
  Bytes request;
  int status;
};

/// Two endpoints, 8 and 9; 10 reserves addresses of its own.
struct Three : IommuRig {
  explicit Three(
      std::uint64_t features = kFeatures,
      const std::function<void(Iommu::Options&)>& change = [](auto&) {})
      : IommuRig(features, change) {
    REQUIRE(started);
    REQUIRE((first && second && third));
  }
  void play(const std::vector<Step>& steps) {
    for (const Step& step : steps) {
      CAPTURE(step.what);
      CHECK(ask(step.request) == step.status);
      CHECK((first->agreed && second->agreed && third->agreed));
    }
  }
  std::shared_ptr<RecordingEndpoint> first = add(8, std::make_shared<RecordingEndpoint>());
  std::shared_ptr<RecordingEndpoint> second = add(9, std::make_shared<RecordingEndpoint>());
  std::shared_ptr<RecordingEndpoint> third =
      add(10, std::make_shared<RecordingEndpoint>(
                  std::vector<ReservedRange>{{.first = 0x10'0000, .last = 0x1f'ffff}}));
};

/// Endpoint 8 has the number that the guest has chosen; 8 itself is nobody's.
class Renumbered final : public EndpointNumbers {
 public:
  [[nodiscard]] std::optional<std::uint32_t> added_as(std::uint32_t number) const override {
    if (number == 8) return std::nullopt;
    return number == chosen ? 8 : number;
  }
  [[nodiscard]] std::uint32_t number_of(std::uint32_t added) const override {
    return added == 8 ? chosen.load() : added;
  }
  std::atomic<std::uint32_t> chosen = 0x300;
};

TEST_CASE("the driver knows endpoints by numbers that change", "[iommu]") {
  const auto numbers = std::make_shared<Renumbered>();
  Three rig(kFeatures, [&](Iommu::Options& options) {
    options.numbers = numbers;
    options.bypass = false;
  });
  rig.play({{"as it was added", attach(1, 8), kNoEnt},
            {"its number", attach(1, 0x300), kOk},
            {"another endpoint", attach(1, 9), kOk},
            {"a mapping", map(1, {.first = 0, .last = kPage - 1}), kOk}});
  CHECK(rig.first->mappings.size() == 1);
  CHECK(rig.ask(probe(0x300), 516) == kOk);
  CHECK(rig.ask(probe(8), 516) == kNoEnt);
  numbers->chosen = 0x400;  // what it is attached to stays
  CHECK(rig.first->mappings.size() == 1);
  rig.play(
      {{"the number of before", detach(1, 0x300), kNoEnt}, {"the new one", detach(1, 0x400), kOk}});
  CHECK(rig.first->reach == Reach::kNothing);
}

TEST_CASE("an endpoint is attached and detached by the rules", "[iommu]") {
  Three rig;
  rig.play({
      {"an endpoint that does not exist", attach(1, 7), kNoEnt},
      {"reserved is not zero", attach(1, 8, 0, 1), kInval},
      {"an unknown flag", attach(1, 8, 2), kInval},
      {"a domain beyond the range", attach(0x1'0000, 8), kOutOfRange},
      {"the highest domain", attach(0xffff, 8), kOk},
      {"another domain: the first one ends", attach(1, 8), kOk},
      {"the same again", attach(1, 8), kOk},
      {"the domain is no bypass domain", attach(1, 9, kAttachBypass), kInval},
      {"a second endpoint", attach(1, 9), kOk},
      {"a bypass domain", attach(2, 10, kAttachBypass), kOk},
      {"the domain is a bypass domain", attach(2, 9), kInval},
      {"detach: no such endpoint", detach(1, 7), kNoEnt},
      {"detach: another domain", detach(2, 8), kInval},
      {"detach: no such domain", detach(3, 8), kInval},
      {"detach", detach(1, 8), kOk},
      {"detach twice", detach(1, 8), kInval},
      {"the domain is there for the other one", map(1, {0, 0xfff}), kOk},
      {"the last leaves", detach(1, 9), kOk},
      {"the domain has ended", map(1, {0, 0xfff}), kNoEnt},
  });
  CHECK(rig.first->reach == Reach::kAll);  // bypass, as it was at the start
  CHECK(rig.third->reach == Reach::kAll);
  CHECK(rig.iommu->mapping_count() == 0);
}

TEST_CASE("mappings are made by the rules", "[iommu]") {
  Three rig;
  rig.play({
      {"no domain", map(1, {0, 0xfff}), kNoEnt},
      {"attach", attach(1, 8), kOk},
      {"attach", attach(1, 9), kOk},
      {"bypass", attach(2, 10, kAttachBypass), kOk},
      {"a bypass domain", map(2, {0, 0xfff}), kInval},
      {"the start is odd", map(1, {1, 0xfff}), kOutOfRange},
      {"the end is odd", map(1, {0, 0x1000}), kOutOfRange},
      {"the target is odd", map(1, {0, 0xfff, kRam + 1}), kOutOfRange},
      {"reversed", map(1, {0x2000, 0xfff}), kInval},
      {"an unknown flag", map(1, {0, 0xfff, kRam, 8}), kInval},
      {"beyond RAM", map(1, {0, 0xfff, kRam + kRamBytes}), kBadAddress},
      {"a part is beyond RAM", map(1, {0, kRamBytes + 0xfff, kRam}), kBadAddress},
      {"the target wraps", map(1, {0, 0x1fff, ~std::uint64_t{0xfff}}), kBadAddress},
      {"all there is", map(1, {0, kMax, 0}), kBadAddress},
      {"all there is, as registers", map(1, {0, kMax, 0, kMapMmio}), kBadAddress},
      {"the doorbell of MSIs", map(1, {0xfeef'f000, 0xfeef'ffff}), kInval},
      {"around the doorbell", map(1, {0xfed0'0000, 0xfeff'ffff, kRam, kMapMmio}), kInval},
      {"read only", map(1, {0x1000, 0x1fff, kRam, kMapRead}), kOk},
      {"write only", map(1, {0x3000, 0x4fff, kRam + 0x1000, kMapWrite}), kOk},
      {"registers", map(1, {0x8000, 0x8fff, 0xfeb0'0000, kMapWrite | kMapMmio}), kOk},
      {"the last page there is", map(1, {~std::uint64_t{0xfff}, kMax}), kOk},
      {"the same memory twice", map(1, {0x2000, 0x2fff, kRam}), kOk},
      {"it is there", map(1, {0x1000, 0x1fff}), kInval},
      {"it begins inside", map(1, {0x4000, 0x5fff}), kInval},
      {"it ends inside", map(1, {0, 0x1fff}), kInval},
      {"it is inside", map(1, {0x4000, 0x4fff}), kInval},
      {"it is around", map(1, {0, 0x7fff}), kInval},
      {"the last page again", map(1, {~std::uint64_t{0xfff}, kMax}), kInval},
  });
  const Mappings expected{
      {0x1000, {Iova(0x1000), 0x1fff, GuestAddress(kRam), Access::kRead, false}},
      {0x2000, {Iova(0x2000), 0x2fff, GuestAddress(kRam), Access::kReadWrite, false}},
      {0x3000, {Iova(0x3000), 0x4fff, GuestAddress(kRam + 0x1000), Access::kWrite, false}},
      {0x8000, {Iova(0x8000), 0x8fff, GuestAddress(0xfeb0'0000), Access::kWrite, true}},
      {~std::uint64_t{0xfff},
       {Iova(~std::uint64_t{0xfff}), kMax, GuestAddress(kRam), Access::kReadWrite, false}}};
  CHECK(rig.first->mappings == expected);
  CHECK(rig.second->mappings == expected);
  CHECK(rig.third->mappings.empty());
  CHECK(rig.iommu->mapping_count() == expected.size());
  // Whoever comes later sees the same.
  CHECK(rig.ask(attach(1, 10)) == kOk);
  CHECK(rig.third->mappings == expected);
}

TEST_CASE("mappings end whole, or not at all", "[iommu]") {
  // The examples of 5.13.6.6, in pages; and whether the mappings are there at the end.
  struct Case {
    const char* what;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> maps;
    std::pair<std::uint64_t, std::uint64_t> unmap;
    int status;
    std::vector<std::uint64_t> left;
  };
  const std::vector<Case> cases{
      {"(1) nothing there", {}, {0, 4}, kOk, {}},
      {"(2) all of it", {{0, 9}}, {0, 9}, kOk, {}},
      {"(3) two", {{0, 4}, {5, 9}}, {0, 9}, kOk, {}},
      {"(4) a part", {{0, 9}}, {0, 4}, kOutOfRange, {0}},
      {"(5) one of two", {{0, 4}, {5, 9}}, {0, 4}, kOk, {5}},
      {"(6) more than it", {{0, 4}}, {0, 9}, kOk, {}},
      {"(7) with a hole", {{0, 4}, {10, 14}}, {0, 14}, kOk, {}},
      {"the end of one", {{0, 9}}, {5, 9}, kOutOfRange, {0}},
      {"the middle of one", {{0, 9}}, {3, 5}, kOutOfRange, {0}},
      {"one, and a part of the next", {{0, 4}, {5, 9}}, {0, 7}, kOutOfRange, {0, 5}},
      {"a part of one, and the next", {{0, 4}, {5, 9}}, {2, 9}, kOutOfRange, {0, 5}},
      {"beside", {{0, 4}, {10, 14}}, {5, 9}, kOk, {0, 10}},
      {"one page of one page", {{3, 3}}, {3, 3}, kOk, {}},
      {"reversed", {{0, 4}}, {9, 0}, kInval, {0}},
  };
  for (const Case& one : cases) {
    CAPTURE(one.what);
    Three rig;
    REQUIRE(rig.ask(attach(1, 8)) == kOk);
    for (const auto& [first, last] : one.maps) {
      REQUIRE(rig.ask(map(1, {first * kPage, last * kPage + 0xfff})) == kOk);
    }
    CHECK(rig.ask(unmap(1, one.unmap.first * kPage, one.unmap.second * kPage + 0xfff)) ==
          one.status);
    std::vector<std::uint64_t> left;
    for (const auto& [first, mapping] : rig.first->mappings) left.push_back(first / kPage);
    CHECK(left == one.left);
    CHECK(rig.iommu->mapping_count() == one.left.size());
    CHECK(rig.first->agreed);
  }
  Three rig;
  rig.play({
      {"no domain", unmap(1, 0, kMax), kNoEnt},
      {"bypass", attach(2, 8, kAttachBypass), kOk},
      {"a bypass domain", unmap(2, 0, kMax), kInval},
      {"attach", attach(1, 9), kOk},
      {"reserved is not zero", unmap(1, 0, kMax, 1), kInval},
      {"all of nothing", unmap(1, 0, kMax), kOk},
      {"a page", map(1, {~std::uint64_t{0xfff}, kMax}), kOk},
      {"a page", map(1, {0, 0xfff}), kOk},
      {"all of it, and odd addresses are no mistake", unmap(1, 0, kMax - 1), kOutOfRange},
      {"all of it", unmap(1, 0, kMax), kOk},
  });
  CHECK(rig.second->mappings.empty());
}

TEST_CASE("what an endpoint reserves is told, and refused", "[iommu]") {
  Three rig;
  const auto answer = rig.rig.exchange(0, {.readable = {probe(10)}, .writable = {512 + 4}});
  REQUIRE(answer);
  CHECK(answer->written == 516);
  CHECK(answer->at<std::uint8_t>(512) == kOk);
  const auto own = answer->at<ReservedProperty>(0);
  CHECK(own.type.get() == 1);
  CHECK(own.length.get() == 20);
  CHECK(own.subtype == 0);
  CHECK(own.first.get() == 0x10'0000);
  CHECK(own.last.get() == 0x1f'ffff);
  const auto msi = answer->at<ReservedProperty>(24);
  CHECK(msi.subtype == 1);
  CHECK(msi.first.get() == kMsi.first);
  CHECK(msi.last.get() == kMsi.last);
  CHECK(answer->at<std::uint64_t>(48) == 0);  // the end of the list
  CHECK(rig.ask(probe(7), 516) == kNoEnt);
  CHECK(rig.ask(probe(10), 515) == kInval);
  CHECK(rig.ask(probe(10), 4) == kInval);
  rig.play({
      {"attach", attach(1, 8), kOk},
      {"others may use it", map(1, {0x1f'f000, 0x20'0fff}), kOk},
      {"not together with who reserves it", attach(1, 10), kUnsupp},
      {"attach", attach(2, 10), kOk},
      {"its first page", map(2, {0x10'0000, 0x10'0fff}), kInval},
      {"its last page", map(2, {0x1f'f000, 0x20'0fff}), kInval},
      {"the page behind it", map(2, {0x20'0000, 0x20'0fff}), kOk},
  });
}

TEST_CASE("reserved ranges are merged around the doorbell", "[iommu]") {
  IommuRig rig;
  REQUIRE(rig.add(1, std::make_shared<RecordingEndpoint>(
                         std::vector<ReservedRange>{{.first = 0xff00'0000, .last = kMax},
                                                    {.first = 0xfe00'0000, .last = 0xff00'0fff},
                                                    {.first = 0x1000, .last = 0xfff},  // nothing
                                                    {.first = 0, .last = 0xfff}})));
  const auto answer = rig.rig.exchange(0, {.readable = {probe(1)}, .writable = {516}});
  REQUIRE(answer);
  const std::vector<std::array<std::uint64_t, 3>> expected{{0, 0xfff, 0},
                                                           {0xfe00'0000, 0xfedf'ffff, 0},
                                                           {0xfee0'0000, 0xfeef'ffff, 1},
                                                           {0xfef0'0000, kMax, 0}};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto property = answer->at<ReservedProperty>(i * 24);
    CHECK(std::array<std::uint64_t, 3>{property.first.get(), property.last.get(),
                                       property.subtype} == expected[i]);
  }
  std::vector<ReservedRange> many;
  for (std::uint64_t i = 0; i < 21; ++i) many.push_back({.first = 2 * i, .last = 2 * i});
  CHECK(
      rig.iommu->add_endpoint(2, std::make_shared<RecordingEndpoint>(many)).error().is_os(ENOSPC));
  CHECK(rig.iommu->add_endpoint(1, std::make_shared<RecordingEndpoint>()).error().is_os(EEXIST));
}

TEST_CASE("what was not negotiated is not done", "[iommu]") {
  Three rig(kFeatureInputRange | kFeatureMapUnmap);
  rig.play({
      {"no bypass domains", attach(1, 8, kAttachBypass), kInval},
      {"attach", attach(1, 8), kOk},
      {"no registers", map(1, {0, 0xfff, kRam, kMapRead | kMapMmio}), kInval},
  });
  rig.rig.set_config<std::uint8_t>(36, 0);
  CHECK(rig.rig.config<std::uint8_t>(36) == 1);
  Three none(kFeatureBypassConfig);
  CHECK(none.ask(attach(1, 8)) == kOk);
  CHECK(none.ask(map(1, {0, 0xfff})) == kUnwritten);
  CHECK(none.ask(unmap(1, 0, 0xfff)) == kUnwritten);
}

TEST_CASE("a backend that fails undoes the request", "[iommu]") {
  Three rig;
  REQUIRE(rig.ask(attach(1, 8)) == kOk);
  REQUIRE(rig.ask(attach(1, 9)) == kOk);
  rig.second->refusals = 1;
  rig.second->error = ENOMEM;
  CHECK(rig.ask(map(1, {0, 0xfff})) == kNoMem);
  CHECK(rig.first->mappings.empty());  // the one that had followed
  CHECK(rig.iommu->mapping_count() == 0);
  rig.second->refusals = 1;
  rig.second->error = EIO;
  CHECK(rig.ask(map(1, {0, 0xfff})) == kDevErr);
  CHECK(rig.ask(map(1, {0, 0xfff})) == kOk);

  // To another domain, where it cannot go: it is back where it was.
  rig.second->refusals = 1;
  CHECK(rig.ask(attach(2, 9)) == kDevErr);
  CHECK(rig.second->mappings.size() == 1);
  CHECK(rig.ask(map(2, {0, 0xfff})) == kNoEnt);
  CHECK(rig.ask(map(1, {0x1000, 0x1fff})) == kOk);
  CHECK(rig.second->mappings.size() == 2);
  // Nor can it go back: then it is nowhere.
  rig.second->refusals = 2;
  CHECK(rig.ask(attach(2, 9)) == kDevErr);
  CHECK(rig.second->reach == Reach::kNothing);
  CHECK(rig.ask(detach(1, 9)) == kInval);
  CHECK(rig.ask(attach(1, 9)) == kOk);
  CHECK(rig.second->mappings.size() == 2);

  // The mapping is over; the driver is told that the device may not know it.
  rig.second->refusals = 1;
  CHECK(rig.ask(unmap(1, 0, 0xfff)) == kDevErr);
  CHECK(rig.iommu->mapping_count() == 1);
  CHECK(rig.first->mappings.size() == 1);
}

TEST_CASE("bypass is for those that are not attached", "[iommu]") {
  Three rig;
  CHECK(rig.rig.config<std::uint8_t>(36) == 1);
  CHECK(rig.first->reach == Reach::kAll);
  REQUIRE(rig.ask(attach(1, 8)) == kOk);
  rig.rig.set_config<std::uint8_t>(36, 2);  // no such value
  CHECK(rig.rig.config<std::uint8_t>(36) == 1);
  rig.rig.set_config<std::uint32_t>(34, 0);  // a write across it
  CHECK(rig.rig.config<std::uint8_t>(36) == 0);
  CHECK(rig.rig.config<std::uint32_t>(32) == 512);
  CHECK(rig.first->reach == Reach::kMapped);
  CHECK(rig.second->reach == Reach::kNothing);
  // A reset of the device detaches all, and leaves the field as it is.
  REQUIRE(rig.rig.start());
  CHECK(rig.first->reach == Reach::kNothing);
  CHECK(rig.rig.config<std::uint8_t>(36) == 0);
  rig.rig.set_config<std::uint8_t>(36, 1);
  CHECK(rig.first->reach == Reach::kAll);
  // When the machine ends nothing of that happens.
  REQUIRE(rig.ask(attach(1, 8)) == kOk);
  rig.iommu->retire();
  rig.rig.reset();
  CHECK(rig.first->reach == Reach::kMapped);
}

TEST_CASE("the configuration says what there is", "[iommu]") {
  IommuRig rig(kFeatures, [](Iommu::Options& options) {
    options.page_bytes = 0x1'0000;
    options.address_bits = 39;
    options.last_domain = 7;
    options.bypass = false;
  });
  CHECK(rig.rig.config<Le64>(0).get() == ~std::uint64_t{0xffff});
  CHECK(rig.rig.config<Le64>(8).get() == 0);
  CHECK(rig.rig.config<Le64>(16).get() == 0x7f'ffff'ffff);
  CHECK(rig.rig.config<Le32>(24).get() == 0);
  CHECK(rig.rig.config<Le32>(28).get() == 7);
  CHECK(rig.rig.config<std::uint8_t>(36) == 0);
  REQUIRE(rig.add(1, std::make_shared<RecordingEndpoint>()));
  CHECK(rig.ask(attach(8, 1)) == kOutOfRange);
  CHECK(rig.ask(attach(7, 1)) == kOk);
  CHECK(rig.ask(map(7, {0, 0xfff})) == kOutOfRange);
  CHECK(rig.ask(map(7, {0x7f'ffff'0000, 0x80'0000'ffff})) == kOutOfRange);
  CHECK(rig.ask(map(7, {0x7f'ffff'0000, 0x7f'ffff'ffff})) == kOk);
  const vm_memory::GuestMemory memory = make_ram();
  CHECK_FALSE(Iommu::create({.memory = memory, .page_bytes = 3}));
  CHECK_FALSE(Iommu::create({.memory = memory, .page_bytes = 0}));
  CHECK_FALSE(Iommu::create({.memory = memory, .address_bits = 65}));
  CHECK_FALSE(Iommu::create({.memory = memory, .address_bits = 0}));
}

}  // namespace
}  // namespace vmm::virtio_iommu
