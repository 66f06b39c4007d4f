// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/aarch64/device_tree.h"

#include <catch2/catch.hpp>
#include <string>

#include "tests/dtc.h"
#include "vmm/fdt/fdt_view.h"

namespace vmm::arch::aarch64 {
namespace {

using fdt::FdtView;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

const AddressRange kSmallRam[] = {{kRamStart, 256 * kMiB}};
const AddressRange kLargeRam[] = {{kRamStart, kLowRamEnd.raw() - kRamStart.raw()},
                                  {kHighRam, 8 * kGiB}};
const Cache kTwoLevels[] = {{1, Cache::Kind::kData, 0x8000, 64, 128, 1},
                            {1, Cache::Kind::kInstruction, 0xc000, 64, 256, 1},
                            {2, Cache::Kind::kUnified, 0x10'0000, 64, 1024, 2}};
const Cache kThreeLevels[] = {{3, Cache::Kind::kUnified, 0x200'0000, 64, 0x8000, 0},
                              {1, Cache::Kind::kUnified, 0x8000, 0, 0, 1},
                              {2, Cache::Kind::kUnified, 0x10'0000, 64, 1024, 1}};
const VirtioMmio kVirtio[] = {{{kPlatformWindow.base, 0x1000}, kFirstFreeSpi},
                              {{GuestAddress(0x0a00'1000), 0x1000}, kFirstFreeSpi + 1}};
const PciHost kHosts[] = {{.window64 = {kPciWindow64Start, kPciWindow64Bytes}},
                          {.ecam = {GuestAddress(0x3010'0000), kMiB},
                           .segment = 1,
                           .io = {},
                           .window32 = {GuestAddress(0x2000'0000), kMiB}}};
const PciHost kNoMsiHost[] = {{.msi = false}};
const ReservedMemory kReserved[] = {
    {.name = "ramoops", .range = {GuestAddress(0x4f00'0000), kMiB}, .compatible = "ramoops"},
    {.name = "buffer", .range = {GuestAddress(0x4e00'0000), kMiB}, .no_map = false}};
const std::vector<std::byte> kSeed(32, std::byte{0x5a});

struct Named {
  const char* name;
  DeviceTreeConfig config;
};

std::vector<Named> machines() {
  std::vector<Named> list = {
      {"one CPU", {.memory = kSmallRam}},
      {"four CPUs", {.memory = kSmallRam, .vcpus = 4, .bootargs = "console=ttyAMA0"}},
      {"nothing but CPUs",
       {.memory = kSmallRam, .its = false, .serial = false, .rtc = false, .power_key = false}},
      {"GICv2", {.memory = kSmallRam, .vcpus = 8, .gic = GicVersion::kV2, .pmu = true}},
      {"GICv2 and PCI",
       {.memory = kSmallRam, .vcpus = 2, .gic = GicVersion::kV2, .pci = kNoMsiHost}},
      {"17 CPUs, two sockets",
       {.memory = kLargeRam, .vcpus = 17, .topology = Topology{2, 2, 3, 2}, .caches = kTwoLevels}},
      {"most CPUs", {.memory = kLargeRam, .vcpus = kMaxVcpus, .caches = kThreeLevels}},
      {"everything",
       {.memory = kLargeRam,
        .vcpus = 6,
        .topology = Topology{1, 3, 2, 1},
        .caches = kThreeLevels,
        .bootargs = "console=ttyAMA0 root=/dev/vda",
        .initrd = {GuestAddress(0x4800'0000), 0x12'3456},
        .rng_seed = kSeed,
        .kaslr_seed = 0x0123'4567'89ab'cdef,
        .reserved = kReserved,
        .pmu = true,
        .virtio_mmio = kVirtio,
        .pci = kHosts}},
  };
  return list;
}

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

}  // namespace
}  // namespace vmm::arch::aarch64
