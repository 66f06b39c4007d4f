// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Requests that no driver makes, limits, and what a device behind the IOMMU sees of memory.

#include <unistd.h>

#include <catch2/catch.hpp>

#include "iommu_rig.h"
#include "vmm/virtio_device/testing/hostile_chains.h"

namespace vmm::virtio_iommu {
namespace {

TEST_CASE("requests that cannot be understood come back unwritten", "[iommu][hostile]") {
  IommuRig rig;
  REQUIRE(rig.add(8, std::make_shared<RecordingEndpoint>()));
  for (const int type : {0, 6, 7, 0x81, 0xff}) {
    CAPTURE(type);
    Bytes request = head(static_cast<std::uint8_t>(type));
    request.resize(200);
    CHECK(rig.ask(request) == kUnwritten);
  }
  for (const Bytes& good : {attach(1, 8), detach(1, 8), map(1, {0, 0xfff}), unmap(1, 0, 0xfff)}) {
    for (std::size_t bytes = 1; bytes < good.size(); ++bytes) {
      CAPTURE(bytes);
      CHECK(rig.ask({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(bytes)}) ==
            kUnwritten);
    }
    CHECK(rig.ask(good, 3) == kUnwritten);  // no room for the status: it is not done
  }
  Bytes short_probe = probe(8);
  short_probe.pop_back();
  CHECK(rig.ask(short_probe, 516) == kUnwritten);
  CHECK(rig.ask(map(1, {0, 0xfff})) == kNoEnt);  // it was not attached
  // Parts of any size are the same request.
  Bytes request = attach(1, 8);
  std::vector<Bytes> parts;
  for (const std::byte byte : request) parts.push_back({byte});
  const auto answer = rig.rig.exchange(0, {.readable = parts, .writable = {1, 2, 1}});
  REQUIRE(answer);
  CHECK(answer->written == 4);
  CHECK(answer->at<std::uint8_t>(0) == kOk);
}

/// Takes its time to follow, as one does that maps memory for a device of the host.
class SlowEndpoint final : public Endpoint {
 public:
  [[nodiscard]] std::span<const ReservedRange> reserved() const override { return {}; }
  Result<void> enter(const Space&) override {
    ::usleep(4000);
    ++entered;
    return {};
  }
  Result<void> map(const Mapping&, const vm_memory::RegionMap&) override { return {}; }
  Result<void> unmap(const Mapping&) override { return {}; }
  void commit(const Space&) override {}

  int entered = 0;
};

TEST_CASE("requests that take long leave others of the loop their turn", "[iommu][hostile]") {
  IommuRig rig;
  const auto slow = rig.add(8, std::make_shared<SlowEndpoint>());
  REQUIRE(slow);
  slow->entered = 0;
  constexpr int kRequests = 30;  // an eighth of a second
  for (int i = 0; i < kRequests; ++i) {
    const Bytes request = i % 2 == 0 ? attach(1, 8) : detach(1, 8);
    REQUIRE(rig.rig.send(0, {.readable = {request}, .writable = {4}}));
  }
  int entered = 0;
  rig.rig.loop().post([&] { entered = slow->entered; });  // as a reset is
  REQUIRE(rig.rig.run_until([&] { return entered != 0; }));
  CHECK(entered < kRequests / 2);
  REQUIRE(rig.rig.run_until([&] { return slow->entered == kRequests; }));
}

TEST_CASE("hostile chains harm nothing else", "[iommu][hostile]") {
  for (const bool packed : {false, true}) {
    const vm_memory::GuestMemory memory = make_ram();
    const auto iommu = *Iommu::create({.memory = memory});
    DeviceRig rig(iommu,
                  {.packed = packed, .features = kFeatures | virtio_queue::kFeatureIndirect});
    REQUIRE(rig.start());
    for (const auto& chain : virtio_device::testing::hostile_chains()) {
      CAPTURE(chain.name, packed);
      CHECK(virtio_device::testing::outlive(rig, 0, chain).empty());
      const auto answer = rig.exchange(0, {.readable = {attach(1, 8)}, .writable = {4}});
      REQUIRE(answer);
      CHECK(answer->at<std::uint8_t>(0) == kNoEnt);
    }
  }
}

TEST_CASE("there are no more mappings than allowed, in all domains", "[iommu][hostile]") {
  IommuRig rig(kFeatures, [](Iommu::Options& options) { options.max_mappings = 3; });
  REQUIRE(rig.add(1, std::make_shared<RecordingEndpoint>()));
  REQUIRE(rig.add(2, std::make_shared<RecordingEndpoint>()));
  CHECK(rig.ask(attach(1, 1)) == kOk);
  CHECK(rig.ask(attach(2, 2)) == kOk);
  CHECK(rig.ask(map(1, {0, 0xfff})) == kOk);
  CHECK(rig.ask(map(1, {0x1000, 0x1fff})) == kOk);
  CHECK(rig.ask(map(2, {0, 0xfff})) == kOk);
  CHECK(rig.ask(map(2, {0x1000, 0x1fff})) == kNoMem);
  CHECK(rig.ask(unmap(1, 0, 0xfff)) == kOk);
  CHECK(rig.ask(map(2, {0x1000, 0x1fff})) == kOk);
  CHECK(rig.ask(map(2, {0x2000, 0x2fff})) == kNoMem);
  CHECK(rig.ask(detach(2, 2)) == kOk);  // its two end with it
  CHECK(rig.iommu->mapping_count() == 1);
  rig.rig.reset();
  CHECK(rig.iommu->mapping_count() == 0);
}

/// Whether the endpoint's memory leads from an I/O address to a guest address.
struct Seen {
  explicit Seen(const MemoryEndpoint& endpoint) : map(endpoint.memory().snapshot()) {}
  std::optional<std::uint64_t> at(std::uint64_t iova, const vm_memory::GuestMemory& ram) const {
    const auto* const span = map->view().find_region(GuestAddress(iova));
    if (span == nullptr) return std::nullopt;
    const auto host = span->host.data() + (iova - span->base.raw());
    return kRam + static_cast<std::uint64_t>(host - ram.snapshot()->regions()[0]->host().data());
  }
  std::shared_ptr<const vm_memory::RegionMap> map;
};

TEST_CASE("the memory of a device follows its domain", "[iommu]") {
  IommuRig rig;
  const auto endpoint = std::make_shared<MemoryEndpoint>();
  CHECK(Seen(*endpoint).map->view().regions().empty());
  REQUIRE(rig.add(8, endpoint));
  CHECK(Seen(*endpoint).at(kRam + 5, rig.memory) == kRam + 5);  // bypass
  CHECK(Seen(*endpoint).map->translation() != nullptr);
  CHECK(rig.ask(attach(1, 8)) == kOk);
  CHECK(Seen(*endpoint).map->view().regions().empty());
  CHECK(rig.ask(map(1, {0x1000, 0x1fff, kRam + 0x3000, kMapRead})) == kOk);
  CHECK(Seen(*endpoint).at(0x1fff, rig.memory) == kRam + 0x3fff);
  CHECK_FALSE(Seen(*endpoint).at(0x2000, rig.memory));
  CHECK(rig.ask(map(1, {0x5000, 0x5fff, kRam, kMapRead | kMapMmio})) == kOk);
  // Neighbours in the host's memory are one region where they permit the same.
  CHECK(rig.ask(map(1, {0x2000, 0x2fff, kRam + 0x4000, kMapRead})) == kOk);
  CHECK(rig.ask(map(1, {0x3000, 0x3fff, kRam + 0x5000, kMapWrite})) == kOk);
  const Seen seen(*endpoint);
  CHECK(seen.map->view().regions().size() == 3);
  CHECK(seen.map->translation()->access ==
        std::vector{Access::kRead, Access::kWrite, Access::kRead});
  CHECK(seen.map->translation()->complete);
  CHECK(rig.ask(unmap(1, 0x1000, 0x1fff)) == kOk);
  CHECK_FALSE(Seen(*endpoint).at(0x1000, rig.memory));
  CHECK(Seen(*endpoint).at(0x2000, rig.memory) == kRam + 0x4000);
  CHECK(seen.at(0x1000, rig.memory));  // what was before stays for who has it

  // Memory goes: what led there leads nowhere.
  REQUIRE(rig.memory.unplug(GuestAddress(kRam), kRamBytes));
  rig.iommu->memory_changed();
  CHECK(Seen(*endpoint).map->view().regions().empty());
  CHECK(rig.ask(map(1, {0x9000, 0x9fff})) == kBadAddress);
  REQUIRE(rig.iommu->remove_endpoint(8));
  CHECK(rig.iommu->remove_endpoint(8).error().is_os(ENOENT));
  CHECK(rig.iommu->mapping_count() == 0);
  CHECK(rig.ask(attach(1, 8)) == kNoEnt);
}

}  // namespace
}  // namespace vmm::virtio_iommu
