// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A device of the host behind the IOMMU: what the kernel is asked to map.

#include "vmm/virtio_iommu/dma_endpoint.h"

#include <catch2/catch.hpp>

#include "iommu_rig.h"
#include "vmm/vfio/testing/scripted_kernel.h"

namespace vmm::virtio_iommu {
namespace {

using vfio::AddressSpace;
using vfio::testing::ScriptedKernel;

const std::string kNic = "/sys/devices/pci0000:00/0000:00:06.0";
constexpr std::uint64_t kSecond = kRam + 2 * kRamBytes;  // of memory that is plugged

struct DmaRig : IommuRig {
  explicit DmaRig(const DmaEndpoint::Limits& limits = {.bytes = 8 * kRamBytes}) {
    kernel.set_iommufd(false);
    vfio::testing::ScriptedDevice nic{};
    nic.path = kNic;
    nic.group = 5;
    nic.regions.resize(9);
    nic.irqs.resize(5);
    kernel.add(nic);
    space = *AddressSpace::open(kernel, {.interface = vfio::Interface::kGroups});
    device = *space->attach(kNic);
    endpoint = std::make_shared<DmaEndpoint>(
        space, *DmaEndpoint::reserved_by(*space, ~std::uint64_t{0}), limits);
  }
  using Map = std::map<std::uint64_t, std::uint64_t>;
  [[nodiscard]] Map mapped() const {
    Map all;
    for (const auto& [iova, mapping] : kernel.mappings()) all[iova] = mapping.bytes;
    return all;
  }

  ScriptedKernel kernel;
  std::shared_ptr<AddressSpace> space;
  std::unique_ptr<vfio::Device> device;
  std::shared_ptr<DmaEndpoint> endpoint;
};

TEST_CASE("the kernel's mappings follow the driver's requests", "[iommu]") {
  DmaRig rig;
  REQUIRE(rig.add(8, rig.endpoint));
  CHECK(rig.mapped() == DmaRig::Map{{kRam, kRamBytes}});  // bypass
  CHECK(rig.ask(attach(1, 8)) == kOk);
  CHECK(rig.mapped().empty());
  CHECK(rig.ask(map(1, {0x1000, 0x2fff, kRam + 0x5000, kMapRead})) == kOk);
  CHECK(rig.ask(map(1, {0x8000, 0x8fff, kRam + 0x5000, kMapRead | kMapWrite})) == kOk);
  CHECK(rig.ask(map(1, {0x9000, 0x9fff, 0xfeb0'0000, kMapWrite | kMapMmio})) == kOk);
  CHECK(rig.ask(map(1, {0xa000, 0xafff, kRam, 0})) == kOk);  // nothing is permitted
  CHECK(rig.mapped() == DmaRig::Map{{0x1000, 0x2000}, {0x8000, 0x1000}});
  CHECK_FALSE(rig.kernel.mappings().at(0x1000).writable);
  CHECK(rig.kernel.mappings().at(0x8000).writable);
  CHECK(rig.ask(unmap(1, 0x1000, 0x2fff)) == kOk);
  CHECK(rig.mapped() == DmaRig::Map{{0x8000, 0x1000}});
  CHECK(rig.ask(unmap(1, 0, ~std::uint64_t{0})) == kOk);
  CHECK(rig.mapped().empty());
  CHECK(rig.ask(map(1, {0x1000, 0x1fff})) == kOk);
  CHECK(rig.ask(detach(1, 8)) == kOk);
  CHECK(rig.mapped() == DmaRig::Map{{kRam, kRamBytes}});
  REQUIRE(rig.iommu->remove_endpoint(8));
  CHECK(rig.mapped().empty());
}

TEST_CASE("a mapping across regions is one of the driver's and two of the kernel's", "[iommu]") {
  DmaRig rig;
  const vm_memory::RegionConfig more{.base = GuestAddress(kRam + kRamBytes), .bytes = kRamBytes};
  REQUIRE(rig.memory.plug(more));
  REQUIRE(rig.add(8, rig.endpoint));
  REQUIRE(rig.ask(attach(1, 8)) == kOk);
  CHECK(rig.ask(map(1, {0x1000, 0x2fff, kRam + kRamBytes - 0x1000})) == kOk);
  CHECK(rig.mapped() == DmaRig::Map{{0x1000, 0x1000}, {0x2000, 0x1000}});
  // The second one fails: the first is undone, and the driver told.
  const int before = rig.kernel.count("VFIO_IOMMU_MAP_DMA");
  rig.kernel.fail_request("VFIO_IOMMU_MAP_DMA", ENOMEM, 1);
  CHECK(rig.ask(map(1, {0x8000, 0x9fff, kRam + kRamBytes - 0x1000})) == kNoMem);
  CHECK(rig.kernel.count("VFIO_IOMMU_MAP_DMA") == before + 2);
  CHECK(rig.mapped().size() == 2);
  CHECK(rig.iommu->mapping_count() == 1);
  CHECK(rig.ask(unmap(1, 0x1000, 0x2fff)) == kOk);
  CHECK(rig.mapped().empty());
}

TEST_CASE("memory that comes and goes is followed, and the rest is left alone", "[iommu]") {
  DmaRig rig;
  REQUIRE(rig.add(8, rig.endpoint));
  const int before = rig.kernel.count("VFIO_IOMMU_UNMAP_DMA");
  const vm_memory::RegionConfig more{.base = GuestAddress(kSecond), .bytes = kRamBytes};
  REQUIRE(rig.memory.plug(more));
  rig.iommu->memory_changed();
  CHECK(rig.mapped() == DmaRig::Map{{kRam, kRamBytes}, {kSecond, kRamBytes}});
  CHECK(rig.kernel.count("VFIO_IOMMU_UNMAP_DMA") == before);
  REQUIRE(rig.memory.unplug(GuestAddress(kSecond), kRamBytes));
  rig.iommu->memory_changed();
  CHECK(rig.mapped() == DmaRig::Map{{kRam, kRamBytes}});
  // The same addresses, another memory.
  REQUIRE(rig.memory.unplug(GuestAddress(kRam), kRamBytes));
  REQUIRE(rig.memory.plug({.base = GuestAddress(kRam), .bytes = kRamBytes}));
  const int maps = rig.kernel.count("VFIO_IOMMU_MAP_DMA");
  rig.iommu->memory_changed();
  CHECK(rig.kernel.count("VFIO_IOMMU_MAP_DMA") == maps + 1);
  CHECK(rig.mapped() == DmaRig::Map{{kRam, kRamBytes}});
}

TEST_CASE("what the kernel refuses is answered and undone", "[iommu][hostile]") {
  DmaRig rig({.bytes = kRamBytes + 0x3000});
  REQUIRE(rig.add(8, rig.endpoint));
  REQUIRE(rig.ask(attach(1, 8)) == kOk);
  rig.kernel.fail_request("VFIO_IOMMU_MAP_DMA", EFAULT);
  CHECK(rig.ask(map(1, {0x1000, 0x1fff})) == kDevErr);
  CHECK(rig.iommu->mapping_count() == 0);
  // Aliases of all memory: page tables of the host are limited.
  CHECK(rig.ask(map(1, {0x1000'0000, 0x1000'0000 + kRamBytes - 1, kRam})) == kOk);
  CHECK(rig.ask(map(1, {0x2000'0000, 0x2000'2fff, kRam})) == kOk);
  CHECK(rig.ask(map(1, {0x3000'0000, 0x3000'0fff, kRam})) == kNoMem);
  CHECK(rig.ask(unmap(1, 0x2000'0000, 0x2000'2fff)) == kOk);
  CHECK(rig.ask(map(1, {0x3000'0000, 0x3000'0fff, kRam})) == kOk);
  // An unmapping that leaves a page is no success.
  rig.kernel.leave_a_page();
  CHECK(rig.ask(unmap(1, 0x3000'0000, 0x3000'0fff)) == kDevErr);
  // It cannot go to bypass: it is detached all the same.
  REQUIRE(rig.ask(unmap(1, 0, ~std::uint64_t{0})) == kOk);
  rig.kernel.fail_request("VFIO_IOMMU_MAP_DMA", ENOMEM);
  CHECK(rig.ask(detach(1, 8)) == kOk);
  CHECK(rig.ask(detach(1, 8)) == kInval);
}

TEST_CASE("what the host's IOMMU does not map is reserved", "[iommu]") {
  DmaRig rig;
  struct Case {
    std::vector<vfio::DmaSpan> usable;
    std::uint64_t last;
    std::vector<ReservedRange> reserved;
  };
  constexpr std::uint64_t kMax = ~std::uint64_t{0};
  const std::vector<Case> cases{
      {{}, kMax, {}},
      {{vfio::span_between(0, 0xfedf'ffff), vfio::span_between(0xfef0'0000, 0x7f'ffff'ffff)},
       kMax,
       {{.first = 0xfee0'0000, .last = 0xfeef'ffff}, {.first = 0x80'0000'0000, .last = kMax}}},
      {{vfio::span_between(0x1000, 0xffff)},
       0xff'ffff,
       {{.first = 0, .last = 0xfff}, {.first = 0x1'0000, .last = 0xff'ffff}}},
      {{vfio::span_between(0, kMax)}, kMax, {}},
      {{vfio::span_between(0x1000, kMax)}, 0xffff, {{.first = 0, .last = 0xfff}}},
      {{vfio::span_between(0, 0xffff)}, 0xffff, {}},
  };
  for (const Case& one : cases) {
    rig.kernel.set_usable(one.usable);
    CHECK(*DmaEndpoint::reserved_by(*rig.space, one.last) == one.reserved);
  }
}

}  // namespace
}  // namespace vmm::virtio_iommu
