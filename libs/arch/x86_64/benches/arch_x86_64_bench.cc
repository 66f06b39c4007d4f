// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <array>
#include <cstring>
#include <vector>

#include "bench.h"
#include "vmm/arch/x86_64/acpi.h"
#include "vmm/arch/x86_64/pvh.h"
#include "vmm/arch/x86_64/registers.h"

namespace vmm::arch::x86_64 {
namespace {

using bench::keep;
using bench::opaque;

VMM_BENCH(bench) {
  std::vector<std::byte> ram(std::size_t{16} << 20);
  const vm_memory::RegionSpan region{GuestAddress(0), ram};
  const vm_memory::MemoryView memory(region);

  const std::array map{MapEntry{{GuestAddress(0), ram.size()}, MapType::kRam}};
  bench.run("arch-x86_64/configure_pvh", [&] {
    const PvhConfig config{.cmdline = kCmdline, .rsdp = kRsdp, .map = opaque(std::span(map))};
    keep(write_pvh(memory, config).has_value());
  });
  struct {
    std::array<char, 56> info{};
    std::array<char, 24> entry{};
  } const ready;
  bench.floor("arch-x86_64/configure_pvh", [&] {
    std::memcpy(&ram[0x6000], opaque(&ready.info), sizeof ready.info);
    std::memcpy(&ram[0x7000], opaque(&ready.entry), sizeof ready.entry);
    keep(ram[0x6000]);
  });

  bench.run("arch-x86_64/page_tables", [&] { keep(write_page_tables(memory).has_value()); });
  for (const std::uint32_t vcpus : {1u, 64u}) {
    const ApicIds ids = *ApicIds::create(Topology::flat(vcpus), vcpus);
    const AcpiConfig config{.ids = &ids, .ged = GedConfig{.status = GuestAddress(0xf'fff0'0000)}};
    bench.run("arch-x86_64/acpi_" + std::to_string(vcpus) + "cpu",
              [&] { keep(write_acpi(memory, config).has_value()); });
  }
}

}  // namespace
}  // namespace vmm::arch::x86_64
