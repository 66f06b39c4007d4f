// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/x86_64/cpuid.h"

#include <algorithm>

#include "cpuid_topology.h"

namespace vmm::arch::x86_64 {
namespace {

// Leaf 1.
constexpr std::uint32_t kVmx = 1u << 5;           // ECX
constexpr std::uint32_t kPdcm = 1u << 15;         // ECX: IA32_PERF_CAPABILITIES
constexpr std::uint32_t kX2apic = 1u << 21;       // ECX
constexpr std::uint32_t kTscDeadline = 1u << 24;  // ECX
constexpr std::uint32_t kHypervisor = 1u << 31;   // ECX
constexpr std::uint32_t kClflushUnits = 8;        // EBX 15:8, of 8 bytes
// Leaf 6.
constexpr std::uint32_t kArat = 1u << 2;  // EAX: the APIC timer never stops
// Leaf 7.
constexpr std::uint32_t kSgx = 1u << 2;                // EBX
constexpr std::uint32_t kSgxLaunchControl = 1u << 30;  // ECX
// Leaf 0x80000001.
constexpr std::uint32_t kSvm = 1u << 2;           // ECX
constexpr std::uint32_t kPerfCtrCore = 1u << 23;  // ECX
// Leaf 0x40000001, EAX.
constexpr std::uint32_t kKvmMsiExtDestId = 1u << 15;

bool is_pmu_leaf(std::uint32_t function) { return function == 0xa || function == 0x8000'0022; }

void set_features(CpuidEntry& leaf, const CpuidConfig& config) {
  leaf.ecx |= kHypervisor;
  set_bits(leaf.ecx, kTscDeadline, config.tsc_deadline_timer ? kTscDeadline : 0);
  if (!config.x2apic) leaf.ecx &= ~kX2apic;
  if (!config.nested) leaf.ecx &= ~kVmx;
  if (!config.pmu) leaf.ecx &= ~kPdcm;
  set_bits(leaf.ebx, 0xff00, kClflushUnits << 8);
}

void set_address_bits(CpuidEntry& leaf, const CpuidConfig& config) {
  if (!config.max_physical_bits) return;
  const std::uint32_t bits = std::min<std::uint32_t>(leaf.eax & 0xff, *config.max_physical_bits);
  set_bits(leaf.eax, 0xff, bits);
}

void configure_leaf(CpuidEntry& leaf, const CpuidConfig& config) {
  switch (leaf.function) {
    case 1:
      set_features(leaf, config);
      break;
    case 6:  // no energy hints, no APERF/MPERF, no thermal sensors: they are the host's
      leaf.eax &= kArat;
      leaf.ebx = leaf.ecx = leaf.edx = 0;
      break;
    case 7:
      if (leaf.index != 0) break;
      leaf.ebx &= ~kSgx;
      leaf.ecx &= ~kSgxLaunchControl;
      break;
    case 0x8000'0001:
      if (!config.nested) leaf.ecx &= ~kSvm;
      if (!config.pmu) leaf.ecx &= ~kPerfCtrCore;
      break;
    case 0x8000'0008:
      set_address_bits(leaf, config);
      break;
    case 0x4000'0001:
      set_bits(leaf.eax, kKvmMsiExtDestId, config.extended_msi_destination ? kKvmMsiExtDestId : 0);
      break;
    default:
      break;
  }
}

/// Leaves that a guest is better off without: processor serial number, SGX, and AMD's newest
/// topology leaf, which tells of the host (0xb serves instead).
bool is_unwanted(std::uint32_t function, const CpuidConfig& config) {
  if (function == 3 || function == 0x12 || function == 0x8000'0026) return true;
  if (function == 0x8000'000a) return !config.nested;
  return !config.pmu && is_pmu_leaf(function);
}

}  // namespace

CpuidEntry* find_cpuid(std::span<CpuidEntry> entries, std::uint32_t function, std::uint32_t index) {
  for (CpuidEntry& entry : entries) {
    if (entry.function != function) continue;
    if ((entry.flags & CpuidEntry::kSignificantIndex) == 0 || entry.index == index) return &entry;
  }
  return nullptr;
}

CpuVendor cpu_vendor(std::span<const CpuidEntry> entries) {
  for (const CpuidEntry& leaf : entries) {
    if (leaf.function != 0) continue;
    switch (leaf.ebx) {  // the first four letters are enough
      case 0x756e'6547:  // "Genu"ineIntel
      case 0x746e'6543:  // "Cent"aurHauls
      case 0x6853'2020:  // "  Sh"anghai
        return CpuVendor::kIntel;
      case 0x6874'7541:  // "Auth"enticAMD
      case 0x6f67'7948:  // "Hygo"nGenuine
        return CpuVendor::kAmd;
      default:
        return CpuVendor::kOther;
    }
  }
  return CpuVendor::kOther;
}

void configure_cpuid(std::vector<CpuidEntry>& entries, const ApicIds& ids,
                     const CpuidConfig& config) {
  std::erase_if(entries,
                [&config](const CpuidEntry& leaf) { return is_unwanted(leaf.function, config); });
  for (CpuidEntry& leaf : entries) configure_leaf(leaf, config);
  set_cpuid_topology(entries, ids);
  set_cpuid_apic_id(entries, ids, 0);
}

void set_cpuid_apic_id(std::span<CpuidEntry> entries, const ApicIds& ids, std::uint32_t vcpu) {
  const std::uint32_t id = ids.id(vcpu);
  for (CpuidEntry& leaf : entries) {
    switch (leaf.function) {
      case 1:
        set_bits(leaf.ebx, 0xff00'0000, id << 24);
        break;
      case 0xb:
      case 0x1f:
        leaf.edx = id;
        break;
      case 0x8000'001e:
        leaf.eax = id;
        set_bits(leaf.ebx, 0xff, (id & ((1u << ids.package_shift()) - 1)) >> ids.core_shift());
        set_bits(leaf.ecx, 0xff, id >> ids.package_shift());
        break;
      default:
        break;
    }
  }
}

}  // namespace vmm::arch::x86_64
