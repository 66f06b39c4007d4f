// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Machines that the tests describe and check.

#include <cstddef>
#include <cstdint>
#include <vector>

#include "vmm/arch/aarch64/device_tree.h"

namespace vmm::arch::aarch64::testing {

inline constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
inline constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;

inline const AddressRange kSmallRam[] = {{kRamStart, 256 * kMiB}};
inline const AddressRange kLargeRam[] = {{kRamStart, kLowRamEnd.raw() - kRamStart.raw()},
                                         {kHighRam, 8 * kGiB}};
inline const Cache kTwoLevels[] = {{1, Cache::Kind::kData, 0x8000, 64, 128, 1},
                                   {1, Cache::Kind::kInstruction, 0xc000, 64, 256, 1},
                                   {2, Cache::Kind::kUnified, 0x10'0000, 64, 1024, 2}};
inline const Cache kThreeLevels[] = {{3, Cache::Kind::kUnified, 0x200'0000, 64, 0x8000, 0},
                                     {1, Cache::Kind::kUnified, 0x8000, 0, 0, 1},
                                     {2, Cache::Kind::kUnified, 0x10'0000, 64, 1024, 1}};
inline const VirtioMmio kVirtio[] = {{{kPlatformWindow.base, 0x1000}, kFirstFreeSpi},
                                     {{GuestAddress(0x0a00'1000), 0x1000}, kFirstFreeSpi + 1}};
inline const PciHost kHosts[] = {{.window64 = {kPciWindow64Start, kPciWindow64Bytes}},
                                 {.ecam = {GuestAddress(0x3010'0000), kMiB},
                                  .segment = 1,
                                  .io = {},
                                  .window32 = {GuestAddress(0x2000'0000), kMiB}}};
inline const PciHost kNoMsiHost[] = {{.msi = false}};
inline const ReservedMemory kReserved[] = {
    {.name = "ramoops", .range = {GuestAddress(0x4f00'0000), kMiB}, .compatible = "ramoops"},
    {.name = "buffer", .range = {GuestAddress(0x4e00'0000), kMiB}, .no_map = false}};
inline const std::vector<std::byte> kSeed(32, std::byte{0x5a});

struct Named {
  const char* name;
  DeviceTreeConfig config;
};

inline std::vector<Named> machines() {
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
        .symbols = true,
        .pmu = true,
        .virtio_mmio = kVirtio,
        .pci = kHosts}},
  };
  return list;
}

}  // namespace vmm::arch::aarch64::testing
