// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "cpuid_topology.h"

#include <algorithm>
#include <array>

namespace vmm::arch::x86_64 {
namespace {

constexpr std::uint32_t kHtt = 1u << 28;                 // leaf 1, EDX
constexpr std::uint32_t kCmpLegacy = 1u << 1;            // leaf 0x80000001, ECX
constexpr std::uint32_t kTopologyExtensions = 1u << 22;  // the same: 0x8000001d and 0x8000001e
constexpr std::uint32_t kSharingMask = 0xfff << 14;      // leaves 4 and 0x8000001d, EAX
constexpr std::uint32_t kLevelOfCache = 0x7 << 5;
constexpr std::uint32_t kTypeOfCache = 0x1f;

/// Logical CPUs below one package, as ids are spaced.
std::uint32_t ids_per_package(const ApicIds& ids) { return 1u << ids.package_shift(); }

/// L1 and L2 belong to a core, what is above to a die.
std::uint32_t ids_per_cache(const ApicIds& ids, std::uint32_t eax) {
  const std::uint32_t level = (eax & kLevelOfCache) >> 5;
  return level < 3 ? 1u << ids.core_shift() : 1u << ids.die_shift();
}

void set_basic_counts(std::span<CpuidEntry> entries, const ApicIds& ids) {
  CpuidEntry* leaf = find_cpuid(entries, 1);
  if (leaf == nullptr) return;
  const std::uint32_t logical = std::min<std::uint32_t>(ids_per_package(ids), 255);
  set_bits(leaf->ebx, 0x00ff'0000, logical << 16);
  set_bits(leaf->edx, kHtt, logical > 1 ? kHtt : 0);
}

void set_intel_caches(std::span<CpuidEntry> entries, const ApicIds& ids) {
  const std::uint32_t cores =
      std::min<std::uint32_t>((ids_per_package(ids) >> ids.core_shift()) - 1, 0x3f);
  for (CpuidEntry& leaf : entries) {
    if (leaf.function != 4 || (leaf.eax & kTypeOfCache) == 0) continue;
    const std::uint32_t sharing = std::min<std::uint32_t>(ids_per_cache(ids, leaf.eax) - 1, 0xfff);
    set_bits(leaf.eax, kSharingMask, sharing << 14);
    set_bits(leaf.eax, 0xfc00'0000, cores << 26);
  }
}

void set_amd_leaves(std::span<CpuidEntry> entries, const ApicIds& ids) {
  const Topology& topology = ids.topology();
  const std::uint32_t logical = ids_per_package(ids);
  const CpuidEntry* const extension = find_cpuid(entries, 0x8000'001e);
  if (CpuidEntry* leaf = find_cpuid(entries, 0x8000'0001)) {
    set_bits(leaf->ecx, kCmpLegacy, logical > 1 ? kCmpLegacy : 0);
    // Guests look at threads and dies with this bit alone; the leaf needs nothing of the host.
    const bool deep = topology.threads_per_core > 1 || topology.dies_per_package > 1;
    if (deep && extension != nullptr) leaf->ecx |= kTopologyExtensions;
  }
  if (CpuidEntry* leaf = find_cpuid(entries, 0x8000'0008)) {
    const std::uint32_t count = std::min<std::uint32_t>(logical - 1, 0xff);
    set_bits(leaf->ecx, 0xf0ff, count | std::min(ids.package_shift(), 15u) << 12);
  }
  if (CpuidEntry* leaf = find_cpuid(entries, 0x8000'001e)) {
    const std::uint32_t threads = std::min<std::uint32_t>(topology.threads_per_core, 256);
    set_bits(leaf->ebx, 0xff00, (threads - 1) << 8);
    // One node a package: a guest's memory nodes come from its SRAT.
    set_bits(leaf->ecx, 0x0700, 0);
  }
  for (CpuidEntry& leaf : entries) {
    if (leaf.function != 0x8000'001d || (leaf.eax & kTypeOfCache) == 0) continue;
    const std::uint32_t sharing = std::min<std::uint32_t>(ids_per_cache(ids, leaf.eax) - 1, 0xfff);
    set_bits(leaf.eax, kSharingMask, sharing << 14);
  }
}

/// One level of leaf 0xb or 0x1f.
struct Level {
  std::uint32_t type;   // 1 thread, 2 core, 5 die; 0 ends the list
  unsigned shift;       // to the number of the next level
  std::uint32_t count;  // logical CPUs below the next level
};

void add_levels(std::vector<CpuidEntry>& entries, std::uint32_t function,
                std::span<const Level> levels) {
  std::uint32_t index = 0;
  for (const Level& level : levels) {
    entries.push_back({.function = function,
                       .index = index,
                       .flags = CpuidEntry::kSignificantIndex,
                       .eax = level.shift,
                       .ebx = std::min<std::uint32_t>(level.count, 0xffff),
                       .ecx = index | level.type << 8});
    ++index;
  }
}

void set_extended_topology(std::vector<CpuidEntry>& entries, const ApicIds& ids) {
  std::erase_if(entries, [](const CpuidEntry& leaf) {
    return leaf.function == 0xb || leaf.function == 0x1f;
  });
  const Topology& topology = ids.topology();
  const std::uint32_t threads = topology.threads_per_core;
  const std::uint32_t per_die = threads * topology.cores_per_die;
  const std::uint32_t per_package = per_die * topology.dies_per_package;
  const Level thread{1, ids.core_shift(), threads};
  add_levels(entries, 0xb,
             std::array{thread, Level{2, ids.package_shift(), per_package}, Level{0, 0, 0}});
  std::uint32_t highest = 0xb;
  if (topology.dies_per_package > 1) {
    highest = 0x1f;
    add_levels(entries, 0x1f,
               std::array{thread, Level{2, ids.die_shift(), per_die},
                          Level{5, ids.package_shift(), per_package}, Level{0, 0, 0}});
  }
  if (CpuidEntry* leaf = find_cpuid(entries, 0)) leaf->eax = std::max(leaf->eax, highest);
}

}  // namespace

void set_cpuid_topology(std::vector<CpuidEntry>& entries, const ApicIds& ids) {
  set_basic_counts(entries, ids);
  switch (cpu_vendor(entries)) {
    case CpuVendor::kIntel:
      set_intel_caches(entries, ids);
      break;
    case CpuVendor::kAmd:
      set_amd_leaves(entries, ids);
      break;
    case CpuVendor::kOther:
      break;
  }
  set_extended_topology(entries, ids);
}

}  // namespace vmm::arch::x86_64
