// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <catch2/catch.hpp>
#include <cerrno>

#include "src/bar_parts.h"
#include "tests/rig.h"

using namespace vmm;
using namespace vmm::vfio_pci;

TEST_CASE("bars: sizes and kinds are the device's", "[bars]") {
  Setting setting;
  setting.ports = true;
  Rig rig(std::move(setting));
  REQUIRE(rig.plugged);
  const auto probe = [&rig](std::uint16_t at) {
    const auto before = rig.config<std::uint32_t>(at);
    rig.set_config(at, ~std::uint32_t{0});
    const auto size = rig.config<std::uint32_t>(at);
    rig.set_config(at, before);
    return size;
  };
  CHECK(probe(0x10) == 0xffff'c004);
  CHECK(probe(0x14) == 0xffff'ffff);
  CHECK(probe(0x18) == 0xffff'ff00);
  CHECK(probe(0x1c) == 0);
  CHECK(probe(0x20) == 0xffff'ffe1);
  CHECK(probe(0x24) == 0);
  CHECK(probe(0x30) == 0xffff'f001);
  CHECK(Rig().config<std::uint32_t>(0x20) == 0);  // where there are no ports
}

TEST_CASE("bars: memory is mapped but for the table and the pending bits", "[bars]") {
  Rig rig;
  CHECK(rig.mapper.all.empty());
  rig.enable();
  const std::uint64_t at = rig.bar(0);
  REQUIRE(rig.mapper.all.size() == 1);
  CHECK(rig.mapper.all.begin()->first == at);
  CHECK(rig.mapper.all.begin()->second.bytes == 2 * kPage);
  CHECK(rig.mapper.all.begin()->second.writable);
  rig.mapper.all.begin()->second.memory[5] = std::byte{0x42};
  CHECK(rig.of_device<std::uint8_t>(0, 5) == 0x42);

  // It follows the guest's writes.
  rig.set_config<std::uint32_t>(0x14, static_cast<std::uint32_t>(at >> 32) + 1);
  REQUIRE(rig.mapper.all.size() == 1);
  CHECK(rig.mapper.all.begin()->first == at + (1ull << 32));
  rig.set_config<std::uint32_t>(0x14, 0x7fff'ffff);  // outside of the window
  CHECK(rig.mapper.all.empty());
  rig.set_config<std::uint32_t>(0x14, static_cast<std::uint32_t>(at >> 32));
  CHECK(rig.mapper.all.size() == 1);
  rig.set_config<std::uint16_t>(pci::kCommand, 0);
  CHECK(rig.mapper.all.empty());
}

TEST_CASE("bars: other devices reach what is mapped, where the guest has it", "[bars][dma]") {
  Setting setting;
  setting.peers = true;
  Rig rig(std::move(setting));
  CHECK(rig.kernel.mappings().empty());
  rig.enable();
  const std::uint64_t at = rig.bar(0);
  REQUIRE(rig.kernel.mappings().size() == 1);
  CHECK(rig.kernel.mappings().at(at).bytes == 2 * kPage);  // without the table
  rig.set_config<std::uint32_t>(0x14, static_cast<std::uint32_t>(at >> 32) + 1);
  REQUIRE(rig.kernel.mappings().size() == 1);
  CHECK(rig.kernel.mappings().contains(at + (1ull << 32)));
  rig.set_config<std::uint32_t>(0x14, 0x7fff'ffff);  // outside of the window
  CHECK(rig.kernel.mappings().empty());

  // Hosts that cannot map it leave it to the guest alone.
  rig.kernel.fail_request("VFIO_IOMMU_MAP_DMA", EFAULT);
  rig.set_config<std::uint32_t>(0x14, static_cast<std::uint32_t>(at >> 32));
  CHECK(rig.kernel.mappings().empty());
  CHECK(rig.mapper.all.contains(at));
  rig.set_config<std::uint16_t>(pci::kCommand, 0);
  rig.enable();
  CHECK(rig.kernel.mappings().size() == 1);
  CHECK(rig.segment->remove(1));
  CHECK(rig.kernel.mappings().empty());
  CHECK(rig.space.use_count() == 1);

  Rig alone;
  alone.enable();
  CHECK(alone.kernel.mappings().empty());
}

TEST_CASE("bars: sparse areas, and what is not to be mapped", "[bars]") {
  Setting sparse;
  sparse.device.regions[0].areas = {{.offset = 0, .bytes = kPage},
                                    {.offset = 3 * kPage, .bytes = kPage}};
  sparse.config.put<std::uint32_t>(kMsixAt + 4, 2).put<std::uint32_t>(kMsixAt + 8, 0x82);
  Rig rig(std::move(sparse));  // table and pending bits are in BAR 2
  rig.enable();
  CHECK(rig.mapper.all.size() == 2);
  CHECK(rig.mapper.all.contains(rig.bar(0) + 3 * kPage));

  Setting trapped;
  trapped.trapped_bars = 1;
  Rig other(std::move(trapped));
  other.enable();
  CHECK(other.mapper.all.empty());
}

TEST_CASE("bars: what is not mapped is reached through the kernel", "[bars]") {
  Rig rig;
  rig.mapper.refuse = true;
  rig.enable();
  CHECK(rig.mapper.all.empty());
  rig.write<std::uint32_t>(0, 0x10, 0x1234'5678);
  CHECK(rig.of_device<std::uint32_t>(0, 0x10) == 0x1234'5678);
  CHECK(rig.read<std::uint16_t>(0, 0x12) == 0x1234);
  rig.write<std::uint8_t>(2, 0xff, 0x77);
  CHECK(rig.of_device<std::uint8_t>(2, 0xff) == 0x77);
  CHECK(rig.read<std::uint8_t>(2, 0xff) == 0x77);
}

TEST_CASE("bars: accesses over the table's ends are taken apart", "[bars][hostile]") {
  Rig rig;
  rig.enable();
  // 8 entries of 16 bytes from 0x2000 on; their last bytes are control words, masked at first.
  rig.write<std::uint64_t>(0, kTableAt - 4, 0xaaaa'bbbb'cccc'ddddull);
  CHECK(rig.of_device<std::uint32_t>(0, kTableAt - 4) == 0xcccc'dddd);
  CHECK(rig.of_device<std::uint32_t>(0, kTableAt) == 0);
  CHECK(rig.read<std::uint32_t>(0, kTableAt) == 0xaaaa'bbb8);
  rig.write<std::uint64_t>(0, kTableAt + 124, 0x1111'2222'0000'0000ull);
  CHECK(rig.of_device<std::uint32_t>(0, kTableAt + 124) == 0);
  CHECK(rig.of_device<std::uint32_t>(0, kTableAt + 128) == 0x1111'2222);
  CHECK(rig.read<std::uint32_t>(0, kTableAt + 124) == 0);
  rig.write<std::uint32_t>(0, kPendingAt, ~0u);
  CHECK(rig.read<std::uint32_t>(0, kPendingAt) == 0);
  CHECK(rig.of_device<std::uint32_t>(0, kPendingAt) == 0);
}

TEST_CASE("bars: the expansion ROM", "[bars]") {
  Rig rig;
  const auto at = rig.config<std::uint32_t>(pci::kRomBar);
  rig.enable();
  rig.set_config(pci::kRomBar, at | 1);
  std::array<std::byte, 4> data{std::byte{9}};
  CHECK(rig.caller.read(GuestAddress(at), data));
  CHECK(data[0] == std::byte{0});
  CHECK(rig.caller.write(GuestAddress(at), data));  // passed over
  Setting odd;
  odd.device.regions[vfio::kRomRegion].bytes = 3 * kPage;
  CHECK(Rig(std::move(odd)).config<std::uint32_t>(pci::kRomBar) == 0);
}

namespace {

/// Answers what is trapped by itself, and opens a register of configuration space.
class TestQuirk final : public Quirk {
 public:
  [[nodiscard]] std::vector<BarArea> trapped() const override {
    return {{.bar = 0, .offset = 0x1010, .bytes = 8},
            {.bar = 0, .offset = 0xffff'ffff'ffff'fff0, .bytes = 0x20},
            {.bar = 9, .offset = 0, .bytes = 1}};
  }
  [[nodiscard]] std::vector<ConfigArea> passed() const override {
    return {
        {.offset = 0xe0, .bytes = 4}, {.offset = 0x00, .bytes = 4}, {.offset = 0xfff, .bytes = 4}};
  }
  bool read_bar(const vfio::Device&, const BarArea& area, std::span<std::byte> data) override {
    for (std::byte& byte : data) byte = std::byte{0x5a};
    return area.offset == 0x1010;
  }
};

}  // namespace

TEST_CASE("bars: quirks", "[bars][quirk]") {
  Setting setting;
  setting.quirks = {std::make_shared<TestQuirk>()};
  Rig rig(std::move(setting));
  rig.enable();
  REQUIRE(rig.mapper.all.size() == 1);
  CHECK(rig.mapper.all.begin()->second.bytes == kPage);  // without the page of the trap
  CHECK(rig.read<std::uint32_t>(0, 0x1010) == 0x5a5a'5a5a);
  CHECK(rig.read<std::uint32_t>(0, 0x1014) == 0);  // left to the device
  rig.write<std::uint32_t>(0, 0x1010, 7);
  CHECK(rig.of_device<std::uint32_t>(0, 0x1010) == 7);
  rig.set_config<std::uint32_t>(0xe0, 0x0102'0304);
  CHECK(rig.of_device<std::uint32_t>(vfio::kConfigRegion, 0xe0) == 0x0102'0304);
  rig.set_config<std::uint16_t>(pci::kVendorId, 0xffff);
  CHECK(rig.config<std::uint16_t>(pci::kVendorId) == 0x1b36);
}

TEST_CASE("bars: holes of areas", "[bars]") {
  using vfio::RegionArea;
  using vfio_pci::detail::BarParts;
  struct Row {
    BarArea hole;
    std::vector<RegionArea> left;
  };
  const std::vector<RegionArea> whole{{.offset = 0, .bytes = 4 * kPage}};
  for (const Row& row :
       {Row{{0, 0, 16}, {{kPage, 3 * kPage}}}, Row{{0, kPage - 1, 2}, {{2 * kPage, 2 * kPage}}},
        Row{{0, kPage, 1}, {{0, kPage}, {2 * kPage, 2 * kPage}}},
        Row{{0, 4 * kPage - 1, 1}, {{0, 3 * kPage}}}, Row{{0, 0, 4 * kPage}, {}},
        Row{{1, 0, 16}, whole}}) {
    BarParts parts;
    parts.add({.area = row.hole});
    CHECK(parts.without_parts(0, whole, kPage) == row.left);
  }
}
