// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/x86_64/cpuid.h"

#include <catch2/catch.hpp>
#include <vector>

namespace vmm::arch::x86_64 {
namespace {

using Entries = std::vector<CpuidEntry>;

CpuidEntry leaf(std::uint32_t function, std::uint32_t index, std::uint32_t eax = 0,
                std::uint32_t ebx = 0, std::uint32_t ecx = 0, std::uint32_t edx = 0) {
  const bool indexed = function == 4 || function == 7 || function == 0xb || function == 0xd ||
                       function == 0x1f || function == 0x8000'001d;
  return {function, index, indexed ? CpuidEntry::kSignificantIndex : 0, eax, ebx, ecx, edx};
}

/// A four-core host with all that must be changed for a guest.
Entries intel_host() {
  return {
      leaf(0, 0, 0x16, 0x756e'6547, 0x6c65'746e, 0x4965'6e69),
      leaf(1, 0, 0x306c3, 0x0310'0800, 0x0020'8020, 0x0000'0001),
      leaf(3, 0, 1, 2, 3, 4),
      leaf(4, 0, 0x1c00'4121, 0x01c0'003f),
      leaf(4, 1, 0x1c00'4122, 0x01c0'003f),
      leaf(4, 2, 0x1c00'4143, 0x01c0'003f),
      leaf(4, 3, 0x1c03'c163, 0x02c0'003f),
      leaf(4, 4),
      leaf(6, 0, 0x77, 2, 9, 1),
      leaf(7, 0, 0, 0x0000'0027, 0x4000'0000),
      leaf(0xa, 0, 0x0730'0803),
      leaf(0xb, 0, 1, 2, 0x100, 5),
      leaf(0xb, 1, 4, 8, 0x201, 5),
      leaf(0x12, 0, 1),
      leaf(0x1f, 0, 1, 2, 0x100, 5),
      leaf(0x4000'0000, 0, 0x4000'0001, 0x4b4d'564b, 0x564b'4d56, 0x4d),
      leaf(0x4000'0001, 0, 0x0100'7efb | 1u << 15),
      leaf(0x8000'0000, 0, 0x8000'0008),
      leaf(0x8000'0001, 0, 0, 0, 0x21),
      leaf(0x8000'0007, 0, 0, 0, 0, 0x100),
      leaf(0x8000'0008, 0, 0x3027),
  };
}

Entries amd_host() {
  return {
      leaf(0, 0, 0xd, 0x6874'7541, 0x444d'4163, 0x6974'6e65),
      leaf(1, 0, 0x00a2'0f10, 0x0310'0800, 0x0020'0000),
      leaf(7, 0),
      leaf(0x8000'0001, 0, 0, 0, 0x0040'0004 | 1u << 23),
      leaf(0x8000'0008, 0, 0x3030, 0, 0x0000'700f),
      leaf(0x8000'000a, 0, 1),
      leaf(0x8000'001d, 0, 0x0000'4121, 0x01c0'003f),
      leaf(0x8000'001d, 1, 0x0000'4122, 0x01c0'003f),
      leaf(0x8000'001d, 2, 0x0000'4143, 0x01c0'003f),
      leaf(0x8000'001d, 3, 0x0001'c163, 0x01c0'003f),
      leaf(0x8000'001d, 4),
      leaf(0x8000'001e, 0, 7, 0x103, 0x102),
      leaf(0x8000'0022, 0, 1),
      leaf(0x8000'0026, 0, 1, 2),
  };
}

ApicIds ids_of(const Topology& topology, std::uint32_t vcpus) {
  return *ApicIds::create(topology, vcpus);
}

const CpuidEntry& find(Entries& entries, std::uint32_t function, std::uint32_t index = 0) {
  static const CpuidEntry kNone{.function = 0xdead};
  const CpuidEntry* found = find_cpuid(entries, function, index);
  return found != nullptr ? *found : kNone;
}

bool has(Entries& entries, std::uint32_t function) {
  return find_cpuid(entries, function) != nullptr;
}

TEST_CASE("a guest sees a hypervisor, its timer and nothing of the host's power", "[cpuid]") {
  Entries entries = intel_host();
  configure_cpuid(entries, ids_of(Topology::flat(1), 1), {});
  CHECK(find(entries, 1).ecx == (0x0020'8020u | 1u << 31 | 1u << 24));
  CHECK(find(entries, 6).eax == 4);
  CHECK((find(entries, 6).ebx | find(entries, 6).ecx | find(entries, 6).edx) == 0);
  CHECK(find(entries, 7).ebx == 0x23);  // SGX is gone, the rest stays
  CHECK(find(entries, 7).ecx == 0);
  CHECK_FALSE(has(entries, 3));
  CHECK_FALSE(has(entries, 0x12));
  CHECK(has(entries, 0xa));
  CHECK(find(entries, 0x4000'0000).ebx == 0x4b4d'564b);
  CHECK(find(entries, 0x4000'0001).eax == 0x0100'7efb);
  CHECK(find(entries, 0x8000'0007).edx == 0x100);  // an invariant TSC needs no calibration
  CHECK(find(entries, 0x8000'0008).eax == 0x3027);
}

TEST_CASE("options take features away", "[cpuid]") {
  Entries entries = intel_host();
  configure_cpuid(entries, ids_of(Topology::flat(1), 1),
                  {.tsc_deadline_timer = false,
                   .x2apic = false,
                   .nested = false,
                   .pmu = false,
                   .max_physical_bits = std::uint8_t{36},
                   .extended_msi_destination = true});
  CHECK(find(entries, 1).ecx == 1u << 31);
  CHECK_FALSE(has(entries, 0xa));
  CHECK(find(entries, 0x8000'0008).eax == 0x3024);
  CHECK(find(entries, 0x4000'0001).eax == (0x0100'7efb | 1u << 15));

  entries = amd_host();
  configure_cpuid(entries, ids_of(Topology::flat(1), 1), {.nested = false, .pmu = false});
  CHECK(find(entries, 0x8000'0001).ecx == 0x0040'0000);
  CHECK_FALSE(has(entries, 0x8000'000a));
  CHECK_FALSE(has(entries, 0x8000'0022));

  entries = amd_host();
  configure_cpuid(entries, ids_of(Topology::flat(1), 1), {.max_physical_bits = std::uint8_t{60}});
  CHECK(find(entries, 0x8000'0008).eax == 0x3030);  // never more than the host has
  CHECK(has(entries, 0x8000'000a));
}

TEST_CASE("one vCPU is neither multi-threaded nor multi-core", "[cpuid]") {
  for (Entries entries : {intel_host(), amd_host()}) {
    configure_cpuid(entries, ids_of(Topology::flat(1), 1), {});
    CHECK((find(entries, 1).edx & 1u << 28) == 0);
    CHECK(find(entries, 1).ebx == 0x0001'0800);
    CHECK(find(entries, 0xb, 0).ebx == 1);
    CHECK(find(entries, 0xb, 1).ebx == 1);
    CHECK(find(entries, 0xb, 2).ecx == 2);
  }
}

TEST_CASE("Intel leaves tell cores, threads and dies", "[cpuid]") {
  Entries entries = intel_host();
  const ApicIds ids =
      ids_of({.threads_per_core = 2, .cores_per_die = 3, .dies_per_package = 2, .packages = 2}, 24);
  configure_cpuid(entries, ids, {});
  CHECK(find(entries, 0).eax == 0x1f);
  CHECK((find(entries, 1).edx & 1u << 28) != 0);
  CHECK((find(entries, 1).ebx >> 16 & 0xff) == 16);
  CHECK(find(entries, 4, 0).eax == (0x121u | 1u << 14 | 7u << 26));
  CHECK(find(entries, 4, 2).eax == (0x143u | 1u << 14 | 7u << 26));
  CHECK(find(entries, 4, 3).eax == (0x163u | 7u << 14 | 7u << 26));
  CHECK(find(entries, 4, 4).eax == 0);
  CHECK(find(entries, 0xb, 0) == leaf(0xb, 0, 1, 2, 0x100));
  CHECK(find(entries, 0xb, 1) == leaf(0xb, 1, 4, 12, 0x201));
  CHECK(find(entries, 0xb, 2) == leaf(0xb, 2, 0, 0, 2));
  CHECK(find(entries, 0x1f, 0) == leaf(0x1f, 0, 1, 2, 0x100));
  CHECK(find(entries, 0x1f, 1) == leaf(0x1f, 1, 3, 6, 0x201));
  CHECK(find(entries, 0x1f, 2) == leaf(0x1f, 2, 4, 12, 0x502));
  CHECK(find(entries, 0x1f, 3) == leaf(0x1f, 3, 0, 0, 3));

  set_cpuid_apic_id(entries, ids, 23);
  CHECK(ids.id(23) == 0b11101);
  CHECK(find(entries, 1).ebx >> 24 == 0b11101);
  CHECK(find(entries, 0xb, 2).edx == 0b11101);
  CHECK(find(entries, 0x1f, 0).edx == 0b11101);
}

TEST_CASE("AMD leaves tell cores, threads and nodes", "[cpuid]") {
  Entries entries = amd_host();
  const ApicIds ids =
      ids_of({.threads_per_core = 2, .cores_per_die = 4, .dies_per_package = 1, .packages = 2}, 16);
  configure_cpuid(entries, ids, {});
  CHECK(find(entries, 0).eax == 0xd);
  CHECK((find(entries, 0x8000'0001).ecx & 2) != 0);
  CHECK(find(entries, 0x8000'0008).ecx == 0x3007);
  CHECK(find(entries, 0x8000'001d, 0).eax == (0x121u | 1u << 14));
  CHECK(find(entries, 0x8000'001d, 3).eax == (0x163u | 7u << 14));
  CHECK(find(entries, 0x8000'001e).ebx == 0x100);
  CHECK(find(entries, 0x8000'001e).ecx == 0);
  CHECK_FALSE(has(entries, 0x1f));
  CHECK_FALSE(has(entries, 0x8000'0026));
  set_cpuid_apic_id(entries, ids, 13);
  CHECK(find(entries, 0x8000'001e).eax == 13);
  CHECK(find(entries, 0x8000'001e).ebx == 0x102);
  CHECK(find(entries, 0x8000'001e).ecx == 1);
}

TEST_CASE("AMD guests with threads or dies are told where to read of them", "[cpuid]") {
  constexpr std::uint32_t kExtensions = 1u << 22;
  const auto told = [](const Topology& topology, bool has_leaf) {
    Entries entries = amd_host();
    find_cpuid(entries, 0x8000'0001)->ecx &= ~kExtensions;
    if (!has_leaf) std::erase_if(entries, [](auto& leaf) { return leaf.function == 0x8000'001e; });
    configure_cpuid(entries, ids_of(topology, 4), {});
    return (find(entries, 0x8000'0001).ecx & kExtensions) != 0;
  };
  CHECK(told({.threads_per_core = 2, .cores_per_die = 2}, true));
  CHECK(told({.cores_per_die = 2, .dies_per_package = 2}, true));
  CHECK_FALSE(told({.threads_per_core = 2, .cores_per_die = 2}, false));
  CHECK_FALSE(told({.cores_per_die = 2, .packages = 2}, true));
}

TEST_CASE("an old host's leaf 0 grows to the topology leaves", "[cpuid]") {
  Entries entries{leaf(0, 0, 4, 0x756e'6547), leaf(1, 0)};
  configure_cpuid(entries, ids_of(Topology::flat(4), 4), {});
  CHECK(find(entries, 0).eax == 0xb);
  CHECK(find(entries, 0xb, 1).ebx == 4);
}

TEST_CASE("an unknown vendor, or no leaf at all, is no reason to fail", "[cpuid][hostile]") {
  Entries none;
  configure_cpuid(none, ids_of(Topology::flat(2), 2), {});
  CHECK(none.size() == 3);
  CHECK(cpu_vendor(none) == CpuVendor::kOther);
  const std::pair<std::uint32_t, CpuVendor> rows[] = {
      {0x756e'6547, CpuVendor::kIntel}, {0x746e'6543, CpuVendor::kIntel},
      {0x6853'2020, CpuVendor::kIntel}, {0x6874'7541, CpuVendor::kAmd},
      {0x6f67'7948, CpuVendor::kAmd},   {0, CpuVendor::kOther}};
  for (const auto& [ebx, vendor] : rows) {
    CHECK(cpu_vendor(Entries{leaf(0, 0, 0, ebx)}) == vendor);
  }
}

TEST_CASE("counts saturate where a leaf is narrower than the machine", "[cpuid]") {
  Entries entries = intel_host();
  configure_cpuid(entries, ids_of(Topology::flat(4096), 4096), {});
  CHECK((find(entries, 1).ebx >> 16 & 0xff) == 255);
  CHECK(find(entries, 4, 3).eax >> 26 == 0x3f);
  CHECK((find(entries, 4, 3).eax >> 14 & 0xfff) == 0xfff);
  CHECK(find(entries, 0xb, 1).ebx == 4096);
  CHECK(find(entries, 0xb, 1).eax == 12);
  entries = amd_host();
  configure_cpuid(entries, ids_of(Topology::flat(4096), 4096), {});
  CHECK(find(entries, 0x8000'0008).ecx == 0xc0ff);
}

TEST_CASE("APIC ids give each level a field of its own", "[topology]") {
  const ApicIds flat = ids_of(Topology::flat(300), 300);
  CHECK(flat.id(0) == 0);
  CHECK(flat.id(299) == 299);
  const ApicIds odd =
      ids_of({.threads_per_core = 1, .cores_per_die = 3, .dies_per_package = 1, .packages = 2}, 5);
  CHECK(odd.vcpus() == 5);
  CHECK(odd.id(2) == 2);
  CHECK(odd.id(3) == 4);
  CHECK(odd.id(4) == 5);
  std::vector<std::uint32_t> seen;
  const ApicIds big = ids_of(
      {.threads_per_core = 2, .cores_per_die = 5, .dies_per_package = 3, .packages = 7}, 210);
  for (std::uint32_t i = 0; i < 210; ++i) {
    CHECK((seen.empty() || seen.back() < big.id(i)));
    seen.push_back(big.id(i));
  }
}

TEST_CASE("impossible topologies are refused", "[topology][hostile]") {
  struct Row {
    Topology topology;
    std::uint32_t vcpus;
    ArchError error;
  };
  const Row rows[] = {
      {{0, 1, 1, 1}, 1, ArchError::kBadTopology},
      {{1, 0, 1, 1}, 1, ArchError::kBadTopology},
      {{1, 1, 0, 1}, 1, ArchError::kBadTopology},
      {{1, 1, 1, 0}, 1, ArchError::kBadTopology},
      {Topology::flat(0), 0, ArchError::kBadTopology},
      {Topology::flat(4), 0, ArchError::kNoCpus},
      {Topology::flat(4), 5, ArchError::kTooManyCpus},
      {{2, 2, 1, 1}, 5, ArchError::kTooManyCpus},
      {{~0u, ~0u, ~0u, ~0u}, 1, ArchError::kBadTopology},
      {{1u << 16, 1u << 16, 1, 1}, 1, ArchError::kBadTopology},
  };
  for (const Row& row : rows) {
    const auto ids = ApicIds::create(row.topology, row.vcpus);
    REQUIRE_FALSE(ids.has_value());
    CHECK(ids.error() == row.error);
  }
}

}  // namespace
}  // namespace vmm::arch::x86_64
