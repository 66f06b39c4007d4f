// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Any list of CPUID leaves and any topology: the list stays bounded, the fixed facts hold, and
// doing it again changes nothing.

#include <cstddef>
#include <cstdint>

#include "fuzz_input.h"
#include "vmm/arch/x86_64/cpuid.h"

namespace {

using namespace vmm::arch::x86_64;

constexpr std::uint32_t kFunctions[] = {
    0,           1,           3,           4,           6,           7,           0xa,
    0xb,         0xd,         0x12,        0x1f,        0x4000'0000, 0x4000'0001, 0x8000'0000,
    0x8000'0001, 0x8000'0008, 0x8000'000a, 0x8000'001d, 0x8000'001e};

CpuidEntry take_entry(Input& input) {
  CpuidEntry entry;
  const auto which = input.byte();
  entry.function =
      which < 0xe0 ? kFunctions[which % std::size(kFunctions)] : input.take<std::uint32_t>();
  entry.index = input.byte() % 8;
  entry.flags = input.byte() & 1;
  entry.eax = input.take<std::uint32_t>();
  entry.ebx = input.take<std::uint32_t>();
  entry.ecx = input.take<std::uint32_t>();
  entry.edx = input.take<std::uint32_t>();
  return entry;
}

void check_levels(std::vector<CpuidEntry>& entries, std::uint32_t function, std::uint32_t id) {
  unsigned shift = 0;
  for (std::uint32_t level = 0;; ++level) {
    const CpuidEntry* entry = find_cpuid(entries, function, level);
    require(entry != nullptr && level < 5);
    require(entry->edx == id && (entry->ecx & 0xff) == level);
    if ((entry->ecx >> 8) == 0) break;  // the end
    require(entry->eax >= shift && entry->eax <= 31 && entry->ebx != 0);
    shift = entry->eax;
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const Topology topology{input.byte(), input.take<std::uint16_t>(), input.byte(), input.byte()};
  const auto vcpus = input.take<std::uint16_t>();
  const auto options = input.byte();
  const CpuidConfig config{.tsc_deadline_timer = (options & 1) != 0,
                           .x2apic = (options & 2) != 0,
                           .nested = (options & 4) != 0,
                           .pmu = (options & 8) != 0,
                           .max_physical_bits = (options & 16) != 0
                                                    ? std::optional<std::uint8_t>(options)
                                                    : std::nullopt};
  const auto ids = ApicIds::create(topology, vcpus);
  if (!ids) return 0;
  std::vector<CpuidEntry> entries;
  while (!input.empty() && entries.size() < 256) entries.push_back(take_entry(input));

  const std::size_t before = entries.size();
  configure_cpuid(entries, *ids, config);
  require(entries.size() <= before + 7);
  for (const CpuidEntry& entry : entries) {
    require(entry.function != 3 && entry.function != 0x12);
    if (entry.function == 1) {
      require((entry.ecx >> 31) == 1);
      require(((entry.ecx >> 24) & 1) == (options & 1));
    }
    if (entry.function == 6) require((entry.eax & ~4u) == 0 && entry.ecx == 0);
  }
  std::vector<CpuidEntry> again = entries;
  configure_cpuid(again, *ids, config);
  require(again == entries);

  const std::uint32_t last = vcpus - 1u;
  set_cpuid_apic_id(entries, *ids, last);
  check_levels(entries, 0xb, ids->id(last));
  if (topology.dies_per_package > 1) check_levels(entries, 0x1f, ids->id(last));
  return 0;
}
