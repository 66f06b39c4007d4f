// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/aarch64/device_tree.h"

#include <array>
#include <catch2/catch.hpp>
#include <cstdio>
#include <string>

#include "tests/dtc.h"
#include "tests/machines.h"
#include "vmm/fdt/fdt_view.h"

namespace vmm::arch::aarch64 {
namespace {

using namespace testing;
using fdt::FdtView;

TEST_CASE("dtc has nothing to say about any machine's tree", "[device_tree]") {
  for (const Named& machine : machines()) {
    CAPTURE(machine.name);
    const auto blob = build_device_tree(machine.config);
    REQUIRE(blob.has_value());
    CHECK(FdtView::open(*blob).has_value());
    CHECK(blob->size() < kFdt.size);
    const auto verdict = testing::decompile(*blob);
    if (!verdict) {
      WARN("skipped: there is no dtc here");
      return;
    }
    CHECK(verdict->messages == "");
    CHECK(verdict->output.find("arm,armv8-timer") != std::string::npos);
  }
}

/// A tree with a view of it.
struct Tree {
  std::vector<std::byte> blob;
  FdtView view;

  explicit Tree(const DeviceTreeConfig& config)
      : blob(*build_device_tree(config)), view(*FdtView::open(blob)) {}

  [[nodiscard]] FdtView::Node at(std::string_view path) const {
    INFO(path);
    const auto node = view.find(path);
    REQUIRE(node.has_value());
    return *node;
  }
  [[nodiscard]] bool has(std::string_view path) const { return view.find(path).has_value(); }
  [[nodiscard]] std::vector<std::uint64_t> reg(std::string_view path) const {
    const auto cells = view.cells(at(path), "reg");
    std::vector<std::uint64_t> list;
    for (std::size_t i = 0; i < cells.size(); i += 2) {
      list.push_back(std::uint64_t{cells[i]} << 32 | cells[i + 1]);
    }
    return list;
  }
  [[nodiscard]] std::vector<std::uint32_t> cells(std::string_view path,
                                                 std::string_view name) const {
    const auto cells = view.cells(at(path), name);
    std::vector<std::uint32_t> list;
    for (std::size_t i = 0; i < cells.size(); ++i) list.push_back(cells[i]);
    return list;
  }
};

using Numbers = std::vector<std::uint64_t>;
using Cells = std::vector<std::uint32_t>;

TEST_CASE("a guest is told what it was chosen to be", "[device_tree]") {
  const Tree tree(machines().back().config);
  const FdtView::Node chosen = tree.at("/chosen");
  CHECK(tree.view.string(chosen, "bootargs") == "console=ttyAMA0 root=/dev/vda");
  CHECK(tree.view.string(chosen, "stdout-path") == "/pl011@9000000");
  CHECK(tree.view.u64(chosen, "linux,initrd-start") == 0x4800'0000);
  CHECK(tree.view.u64(chosen, "linux,initrd-end") == 0x4812'3456);
  CHECK(tree.view.u64(chosen, "kaslr-seed") == 0x0123'4567'89ab'cdef);
  const auto seed = tree.view.property(chosen, "rng-seed");
  REQUIRE(seed.has_value());
  CHECK(std::vector<std::byte>(seed->begin(), seed->end()) == kSeed);
  CHECK(tree.reg("/memory@40000000") ==
        Numbers{0x4000'0000, 0xbc00'0000, 0x1'0000'0000, 0x2'0000'0000});
  CHECK(tree.reg("/reserved-memory/ramoops@4f000000") == Numbers{0x4f00'0000, 0x10'0000});
  CHECK(tree.view.property(tree.at("/reserved-memory/ramoops@4f000000"), "no-map"));
  CHECK_FALSE(tree.view.property(tree.at("/reserved-memory/buffer@4e000000"), "no-map"));

  const Tree bare({.memory = kSmallRam, .serial = false});
  for (const char* name : {"bootargs", "stdout-path", "linux,initrd-start", "linux,initrd-end",
                           "kaslr-seed", "rng-seed"}) {
    CAPTURE(name);
    CHECK_FALSE(bare.view.property(bare.at("/chosen"), name));
  }
  CHECK_FALSE(bare.has("/reserved-memory"));
}

TEST_CASE("nodes of others are under the root, and overlays may name them", "[device_tree]") {
  const std::array others{
      OtherNode{.name = "dma@a000000",
                .label = "host0",
                .fill =
                    [](fdt::Node& node) {
                      node.string("compatible", "arm,pl330");
                      node.cells64("reg", {0xa00'0000, 0x1000});
                      node.cells("interrupts", spi_cells(12, true));
                    }},
      OtherNode{.name = "sensor@a010000", .label = "", .fill = [](fdt::Node& node) {
                  node.cells64("reg", {0xa01'0000, 0x1000});
                  node.cells("interrupts", spi_cells(13, false));
                }}};
  const DeviceTreeConfig config{.memory = kSmallRam, .symbols = true, .others = others};
  const Tree tree(config);
  CHECK(tree.reg("/dma@a000000") == Numbers{0xa00'0000, 0x1000});
  CHECK(tree.cells("/dma@a000000", "interrupts") == Cells{0, 12, 4});
  CHECK(tree.cells("/sensor@a010000", "interrupts") == Cells{0, 13, 1});
  CHECK(tree.view.string(tree.at("/__symbols__"), "host0") == "/dma@a000000");
  CHECK(tree.view.u32(tree.at("/dma@a000000"), "phandle"));  // overlays look for it
  CHECK_FALSE(tree.view.property(tree.at("/sensor@a010000"), "phandle"));
  const auto verdict = testing::decompile(*build_device_tree(config));
  if (verdict) CHECK(verdict->messages == "");
}

TEST_CASE("CPUs have the affinities of their MPIDRs and start by PSCI", "[device_tree]") {
  const Tree tree({.memory = kSmallRam, .vcpus = 18});
  CHECK(tree.cells("/cpus/cpu@101", "reg") == Cells{0x101});
  CHECK(tree.view.string(tree.at("/cpus/cpu@101"), "enable-method") == "psci");
  CHECK(tree.view.string(tree.at("/cpus/cpu@f"), "device_type") == "cpu");
  CHECK_FALSE(tree.has("/cpus/cpu@10"));
  CHECK_FALSE(tree.has("/cpus/cpu@102"));
  CHECK(tree.view.string(tree.at("/psci"), "method") == "hvc");
}

TEST_CASE("the map of CPUs has every CPU at its place", "[device_tree]") {
  // Two threads, two cores, three clusters, two sockets: 17 CPUs fill them in part.
  const Tree tree({.memory = kSmallRam, .vcpus = 17, .topology = Topology{2, 2, 3, 2}});
  const auto cpu_at = [&](const std::string& path) {
    const auto handle = tree.view.u32(tree.at("/cpus/cpu-map" + path), "cpu");
    REQUIRE(handle.has_value());
    for (std::uint32_t i = 0; i < 17; ++i) {
      char name[32];
      (void)std::snprintf(name, sizeof(name), "/cpus/cpu@%x", mpidr_affinity(i));
      if (tree.view.u32(tree.at(name), "phandle") == handle) return i;
    }
    return ~0u;
  };
  CHECK(cpu_at("/socket0/cluster0/core0/thread0") == 0);
  CHECK(cpu_at("/socket0/cluster0/core0/thread1") == 1);
  CHECK(cpu_at("/socket0/cluster0/core1/thread0") == 2);
  CHECK(cpu_at("/socket0/cluster1/core0/thread0") == 4);
  CHECK(cpu_at("/socket0/cluster2/core1/thread1") == 11);
  CHECK(cpu_at("/socket1/cluster0/core0/thread0") == 12);
  CHECK(cpu_at("/socket1/cluster1/core0/thread0") == 16);
  CHECK_FALSE(tree.has("/cpus/cpu-map/socket1/cluster1/core0/thread1"));
  CHECK_FALSE(tree.has("/cpus/cpu-map/socket1/cluster1/core1"));
  CHECK_FALSE(tree.has("/cpus/cpu-map/socket1/cluster2"));
  CHECK_FALSE(tree.has("/cpus/cpu-map/socket2"));

  const Tree flat({.memory = kSmallRam, .vcpus = 4});
  CHECK(flat.view.u32(flat.at("/cpus/cpu-map/cluster0/core3"), "cpu").has_value());
  CHECK_FALSE(flat.has("/cpus/cpu-map/cluster1"));
}

TEST_CASE("caches are linked level by level, each instance to those who share it",
          "[device_tree]") {
  const Cache caches[] = {{1, Cache::Kind::kData, 0x8000, 64, 128, 1},
                          {1, Cache::Kind::kInstruction, 0xc000, 64, 256, 1},
                          {3, Cache::Kind::kUnified, 0x200'0000, 64, 0x8000, 0},
                          {2, Cache::Kind::kUnified, 0x10'0000, 32, 1024, 2}};
  const Tree tree({.memory = kSmallRam, .vcpus = 5, .caches = caches});
  const auto next = [&](const char* path) {
    return tree.view.u32(tree.at(path), "next-level-cache");
  };
  const auto handle = [&](const char* path) { return tree.view.u32(tree.at(path), "phandle"); };
  CHECK(next("/cpus/cpu@0") == handle("/cpus/l2-cache0"));
  CHECK(next("/cpus/cpu@1") == handle("/cpus/l2-cache0"));
  CHECK(next("/cpus/cpu@2") == handle("/cpus/l2-cache1"));
  CHECK(next("/cpus/cpu@4") == handle("/cpus/l2-cache2"));
  CHECK(next("/cpus/l2-cache0") == handle("/cpus/l3-cache0"));
  CHECK(next("/cpus/l2-cache2") == handle("/cpus/l3-cache0"));
  CHECK_FALSE(next("/cpus/l3-cache0").has_value());
  CHECK_FALSE(tree.has("/cpus/l2-cache3"));
  CHECK_FALSE(tree.has("/cpus/l3-cache1"));
  const FdtView::Node cpu = tree.at("/cpus/cpu@3");
  CHECK(tree.view.u32(cpu, "d-cache-size") == 0x8000);
  CHECK(tree.view.u32(cpu, "i-cache-sets") == 256);
  const FdtView::Node second = tree.at("/cpus/l2-cache1");
  CHECK(tree.view.u32(second, "cache-level") == 2);
  CHECK(tree.view.u32(second, "cache-size") == 0x10'0000);
  CHECK(tree.view.u32(second, "cache-line-size") == 32);
  CHECK(tree.view.property(second, "cache-unified"));
}

TEST_CASE("the interrupt controller is the one there is", "[device_tree]") {
  const Tree v3({.memory = kSmallRam, .vcpus = 4, .pmu = true});
  CHECK(v3.reg("/intc@8ff0000") == Numbers{0x8ff'0000, 0x1'0000, 0x8f7'0000, 0x8'0000});
  CHECK(v3.reg("/intc@8ff0000/msic@8f50000") == Numbers{0x8f5'0000, 0x2'0000});
  CHECK(v3.cells("/timer", "interrupts") == Cells{1, 13, 4, 1, 14, 4, 1, 11, 4, 1, 10, 4});
  CHECK(v3.cells("/pmu", "interrupts") == Cells{1, 7, 4});

  const Tree v2({.memory = kSmallRam, .vcpus = 3, .gic = GicVersion::kV2});
  CHECK(v2.view.has_string(v2.at("/intc@8ff0000"), "compatible", "arm,cortex-a15-gic"));
  CHECK(v2.reg("/intc@8ff0000") == Numbers{0x8ff'0000, 0x1000, 0x8fe'0000, 0x2000});
  CHECK(v2.cells("/timer", "interrupts") ==
        Cells{1, 13, 0x704, 1, 14, 0x704, 1, 11, 0x704, 1, 10, 0x704});
  CHECK_FALSE(v2.has("/pmu"));
  const Tree no_its({.memory = kSmallRam, .its = false});
  CHECK_FALSE(no_its.view.first_child(no_its.at("/intc@8ff0000")).has_value());
}

TEST_CASE("devices have the registers and interrupts of the layout", "[device_tree]") {
  const Tree tree(machines().back().config);
  CHECK(tree.reg("/pl011@9000000") == Numbers{0x900'0000, 0x1000});
  CHECK(tree.cells("/pl011@9000000", "interrupts") == Cells{0, 1, 4});
  CHECK(tree.reg("/rtc@9010000") == Numbers{0x901'0000, 0x1000});
  CHECK(tree.reg("/pl061@9020000") == Numbers{0x902'0000, 0x1000});
  CHECK(tree.cells("/pl061@9020000", "interrupts") == Cells{0, 3, 4});
  const auto gpio = tree.view.u32(tree.at("/pl061@9020000"), "phandle");
  CHECK(tree.cells("/gpio-keys/power-button", "gpios") == Cells{gpio.value_or(0), 3, 0});
  CHECK(tree.cells("/gpio-keys/power-button", "linux,code") == Cells{116});
  CHECK(tree.reg("/virtio_mmio@a001000") == Numbers{0xa00'1000, 0x1000});
  CHECK(tree.cells("/virtio_mmio@a001000", "interrupts") == Cells{0, 13, 1});
  const Tree bare({.memory = kSmallRam, .serial = false, .rtc = false, .power_key = false});
  for (const char* path :
       {"/pl011", "/rtc", "/pl061", "/gpio-keys", "/apb-pclk", "/aliases", "/__symbols__"}) {
    CAPTURE(path);
    CHECK_FALSE(bare.has(path));
  }
}

TEST_CASE("buses of a PCI host have configuration space and numbers for MSIs", "[device_tree]") {
  const PciHost hosts[] = {
      {.ecam = {GuestAddress(0x3000'0000), 32 * PciHost::kBusBytes}},
      {.ecam = {GuestAddress(0x3200'0000), 32 * PciHost::kBusBytes}, .segment = 1}};
  const Tree tree({.memory = kSmallRam, .pci = hosts});
  const auto its = tree.view.u32(tree.at("/intc@8ff0000/msic@8fb0000"), "phandle").value_or(0);
  CHECK(tree.reg("/pci@32000000") == Numbers{0x3200'0000, 0x200'0000});
  CHECK(tree.cells("/pci@32000000", "bus-range") == Cells{0, 31});
  CHECK(tree.cells("/pci@30000000", "msi-map") == Cells{0, its, 0, 0x2000});
  CHECK(tree.cells("/pci@32000000", "msi-map") == Cells{0, its, 0x2000, 0x2000});
}

TEST_CASE("a PCI host has its windows, its lines in turn and its MSIs", "[device_tree]") {
  const Tree tree(machines().back().config);
  CHECK(tree.reg("/pci@30100000") == Numbers{0x3010'0000, 0x10'0000});
  CHECK(tree.cells("/pci@30100000", "linux,pci-domain") == Cells{1});
  CHECK(tree.cells("/pci@30100000", "ranges") ==
        Cells{0x200'0000, 0, 0x2000'0000, 0, 0x2000'0000, 0, 0x10'0000});
  const auto its = tree.view.u32(tree.at("/intc@8ff0000/msic@8f10000"), "phandle").value_or(0);
  CHECK(tree.cells("/pci@30000000", "msi-map") == Cells{0, its, 0, 0x100});
  CHECK(tree.cells("/pci@30100000", "msi-map") == Cells{0, its, 0x100, 0x100});
  const Cells ranges = tree.cells("/pci@30000000", "ranges");
  REQUIRE(ranges.size() == 21);
  CHECK(Cells(ranges.begin(), ranges.begin() + 7) ==
        Cells{0x100'0000, 0, 0, 0, 0x905'0000, 0, 0x1'0000});
  CHECK(Cells(ranges.begin() + 14, ranges.end()) == Cells{0x300'0000, 2, 0, 2, 0, 2, 0});
  const Cells map = tree.cells("/pci@30000000", "interrupt-map");
  REQUIRE(map.size() == 320);
  // Slot 7, INTB: seven slots and one pin on, the first line again.
  const std::size_t entry = (7 * 4 + 1) * 10;
  CHECK(map[entry] == 7 << 11);
  CHECK(map[entry + 3] == 2);
  CHECK(map[entry + 7] == 0);
  CHECK(map[entry + 8] == kFirstPciSpi);
  CHECK(map[entry + 9] == 4);
}

TEST_CASE("functions behind an IOMMU are mapped to endpoints of theirs", "[device_tree]") {
  const BehindIommu behind[] = {{.segment = 0, .first_requester = 0x08, .functions = 1},
                                {.segment = 0, .first_requester = 0x18, .functions = 2},
                                {.segment = 1, .first_requester = 0x08, .functions = 248},
                                {.segment = 1, .first_requester = 0x100, .functions = 0x1f00}};
  const PciHost hosts[] = {
      {.iommu_devfn = 0x20, .behind_iommu = behind},
      {.ecam = {GuestAddress(0x3010'0000), 0x10'0000}, .segment = 1, .behind_iommu = behind}};
  const Tree tree({.memory = kSmallRam, .pci = hosts});
  const auto iommu = tree.view.u32(tree.at("/pci@30000000/iommu@4"), "phandle").value_or(0);
  CHECK(iommu != 0);
  CHECK(tree.view.has_string(tree.at("/pci@30000000/iommu@4"), "compatible", "virtio,pci-iommu"));
  CHECK(tree.cells("/pci@30000000/iommu@4", "reg") == Cells{0x2000, 0, 0, 0, 0});
  CHECK(tree.cells("/pci@30000000/iommu@4", "#iommu-cells") == Cells{1});
  CHECK(tree.cells("/pci@30000000", "iommu-map") ==
        Cells{0x08, iommu, 0x08, 1, 0x18, iommu, 0x18, 2});
  CHECK(tree.cells("/pci@30100000", "iommu-map") ==
        Cells{0x08, iommu, 0x1'0008, 248, 0x100, iommu, 0x1'0100, 0x1f00});
  CHECK_FALSE(tree.has("/pci@30100000/iommu@4"));
}

TEST_CASE("a machine that cannot be is refused", "[device_tree][hostile]") {
  const AddressRange backwards[] = {kLargeRam[1], kLargeRam[0]};
  const BehindIommu one_behind[] = {{.segment = 0, .first_requester = 8, .functions = 1}};
  const BehindIommu past[] = {{.segment = 0, .first_requester = 8, .functions = 0xfff9}};
  const PciHost no_iommu[] = {{.behind_iommu = one_behind}};
  const PciHost two_iommus[] = {
      {.iommu_devfn = 8},
      {.ecam = {GuestAddress(0x3010'0000), 0x10'0000}, .segment = 1, .iommu_devfn = 8}};
  const PciHost too_many_behind[] = {{.iommu_devfn = 16, .behind_iommu = past}};
  const AddressRange empty[] = {{kRamStart, 0}};
  const AddressRange wraps{GuestAddress(~std::uint64_t{0}), 2};
  const Cache level0[] = {{0, Cache::Kind::kUnified, 1, 64, 1, 1}};
  const Cache level8[] = {{8, Cache::Kind::kUnified, 1, 64, 1, 1}};
  const Cache none[] = {{2, Cache::Kind::kUnified, 0, 64, 1, 1}};
  const Cache split[] = {{2, Cache::Kind::kData, 1, 64, 1, 1}};
  const Cache twice[] = {{2, Cache::Kind::kUnified, 1, 64, 1, 1},
                         {2, Cache::Kind::kUnified, 1, 64, 1, 2}};
  const Cache crossed[] = {{2, Cache::Kind::kUnified, 1, 64, 1, 2},
                           {3, Cache::Kind::kUnified, 1, 64, 1, 3}};
  const ReservedMemory reserved[] = {{.name = "r", .range = wraps}};
  const VirtioMmio nowhere[] = {{{GuestAddress(0x1000), 0}, 1}};
  const VirtioMmio spi[] = {{{GuestAddress(0x1000), 0x1000}, kSpiCount}};
  const PciHost no_ecam[] = {{.ecam = {}}};
  const PciHost no_windows[] = {{.io = {}, .window32 = {}}};
  const PciHost bad_window[] = {{.window64 = wraps}};
  const PciHost segment[] = {{.segment = 256}};
  const PciHost half_a_bus[] = {{.ecam = {kEcam.base, PciHost::kBusBytes / 2}}};
  const PciHost buses[] = {{.ecam = {kEcam.base, 257 * PciHost::kBusBytes}}};
  const PciHost ids[] = {{.ecam = {kEcam.base, 32 * PciHost::kBusBytes}, .segment = 8}};
  const PciHost lines[] = {{.first_spi = kSpiCount - 7}};
  const PciHost host[] = {{}};
  struct Row {
    const char* name;
    DeviceTreeConfig config;
    ArchError error;
  };
  const Row rows[] = {
      {"no memory", {}, ArchError::kNoMemory},
      {"memory backwards", {.memory = backwards}, ArchError::kBadRange},
      {"empty memory", {.memory = empty}, ArchError::kBadRange},
      {"no CPUs", {.memory = kSmallRam, .vcpus = 0}, ArchError::kNoCpus},
      {"513 CPUs", {.memory = kSmallRam, .vcpus = 513}, ArchError::kTooManyCpus},
      {"GICv2 and nine CPUs",
       {.memory = kSmallRam, .vcpus = 9, .gic = GicVersion::kV2},
       ArchError::kTooManyCpus},
      {"more CPUs than places",
       {.memory = kSmallRam, .vcpus = 5, .topology = Topology::flat(4)},
       ArchError::kTooManyCpus},
      {"no threads",
       {.memory = kSmallRam, .topology = Topology{0, 1, 1, 1}},
       ArchError::kBadTopology},
      {"an initrd past 2^64", {.memory = kSmallRam, .initrd = wraps}, ArchError::kBadRange},
      {"a reservation past 2^64",
       {.memory = kSmallRam, .reserved = reserved},
       ArchError::kBadRange},
      {"cache level 0", {.memory = kSmallRam, .caches = level0}, ArchError::kBadCache},
      {"cache level 8", {.memory = kSmallRam, .caches = level8}, ArchError::kBadCache},
      {"a cache of no bytes", {.memory = kSmallRam, .caches = none}, ArchError::kBadCache},
      {"a split second level", {.memory = kSmallRam, .caches = split}, ArchError::kBadCache},
      {"a level twice", {.memory = kSmallRam, .caches = twice}, ArchError::kBadCache},
      {"pairs in threes",
       {.memory = kSmallRam, .vcpus = 6, .caches = crossed},
       ArchError::kBadCache},
      {"a device of no bytes", {.memory = kSmallRam, .virtio_mmio = nowhere}, ArchError::kBadRange},
      {"an SPI past the last", {.memory = kSmallRam, .virtio_mmio = spi}, ArchError::kBadInterrupt},
      {"PCI without ECAM", {.memory = kSmallRam, .pci = no_ecam}, ArchError::kBadRange},
      {"PCI without windows", {.memory = kSmallRam, .pci = no_windows}, ArchError::kBadRange},
      {"a PCI window past 2^64", {.memory = kSmallRam, .pci = bad_window}, ArchError::kBadRange},
      {"PCI segment 256", {.memory = kSmallRam, .pci = segment}, ArchError::kBadRange},
      {"PCI with half a bus", {.memory = kSmallRam, .pci = half_a_bus}, ArchError::kBadRange},
      {"PCI with 257 buses", {.memory = kSmallRam, .pci = buses}, ArchError::kBadRange},
      {"device ids past 16 bits", {.memory = kSmallRam, .pci = ids}, ArchError::kBadRange},
      {"PCI lines past the last", {.memory = kSmallRam, .pci = lines}, ArchError::kBadInterrupt},
      {"no IOMMU for who is behind it",
       {.memory = kSmallRam, .pci = no_iommu},
       ArchError::kBadRange},
      {"two IOMMUs", {.memory = kSmallRam, .pci = two_iommus}, ArchError::kBadRange},
      {"functions past the last",
       {.memory = kSmallRam, .pci = too_many_behind},
       ArchError::kBadRange},
      {"MSIs without an ITS", {.memory = kSmallRam, .its = false, .pci = host}, ArchError::kNoMsi},
      {"MSIs of a GICv2",
       {.memory = kSmallRam, .gic = GicVersion::kV2, .pci = host},
       ArchError::kNoMsi},
  };
  for (const Row& row : rows) {
    CAPTURE(row.name);
    const auto tree = build_device_tree(row.config);
    REQUIRE_FALSE(tree.has_value());
    CHECK(std::string(tree.error().domain().name) == "arch-aarch64");
    CHECK(tree.error().code() == static_cast<int>(row.error));
  }
}

TEST_CASE("text that no tree holds is refused", "[device_tree][hostile]") {
  using namespace std::string_view_literals;
  const auto error_of = [](const DeviceTreeConfig& config) {
    const auto tree = build_device_tree(config);
    REQUIRE_FALSE(tree.has_value());
    CHECK(std::string(tree.error().domain().name) == "fdt");
    return static_cast<fdt::FdtError>(tree.error().code());
  };
  CHECK(error_of({.memory = kSmallRam, .bootargs = "quiet\0ro"sv}) ==
        fdt::FdtError::kInvalidString);
  const std::string long_name(1000, 'x');
  for (const std::string_view name : {""sv, "@"sv, "a b"sv, std::string_view(long_name)}) {
    CAPTURE(name);
    const ReservedMemory reserved[] = {{.name = name, .range = {kRamStart, 1}}};
    CHECK(error_of({.memory = kSmallRam, .reserved = reserved}) == fdt::FdtError::kNodeName);
  }
  const std::vector<std::byte> seed(3 * kMiB);
  CHECK(error_of({.memory = kSmallRam, .rng_seed = seed}) == fdt::FdtError::kTooLarge);
}

TEST_CASE("a tree is written at the start of RAM", "[device_tree]") {
  std::vector<std::byte> ram(0x1'0000, std::byte{0xcc});
  const vm_memory::RegionSpan region{kRamStart, ram};
  const vm_memory::MemoryView memory(region);
  const DeviceTreeConfig config{.memory = kSmallRam};
  const auto placed = write_device_tree(memory, config);
  REQUIRE(placed.has_value());
  CHECK(placed->base == kFdt.base);
  const auto blob = *build_device_tree(config);
  CHECK(placed->size == blob.size());
  CHECK(std::equal(blob.begin(), blob.end(), ram.begin()));
  CHECK(ram[blob.size()] == std::byte{0xcc});
  CHECK_FALSE(write_device_tree(vm_memory::MemoryView(), config).has_value());
  CHECK_FALSE(write_device_tree(memory, {}).has_value());
}

}  // namespace
}  // namespace vmm::arch::aarch64
