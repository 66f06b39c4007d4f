// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <array>
#include <string_view>

#include "bench.h"
#include "vmm/acpi_tables/aml_terms.h"
#include "vmm/acpi_tables/madt.h"
#include "vmm/acpi_tables/resources.h"
#include "vmm/acpi_tables/table.h"

namespace vmm::acpi_tables {
namespace {

using bench::keep;
using bench::opaque;

constexpr Oem kOem{.id = {'B', 'E', 'N', 'C', 'H', ' '},
                   .table_id = {'B', 'E', 'N', 'C', 'H', ' ', ' ', ' '},
                   .revision = 1,
                   .creator_id = {'B', 'E', 'N', 'C'},
                   .creator_revision = 1};

void write_madt(TableBuffer& out, unsigned cpus) {
  Madt madt(out, kOem, 0xfee0'0000);
  for (unsigned i = 0; i < cpus; ++i) {
    madt.local_apic(static_cast<std::uint8_t>(i), static_cast<std::uint8_t>(i));
  }
  madt.io_apic(0, 0xfec0'0000, 0);
  madt.interrupt_override(0, 2, Madt::kConforms);
}

void put_virtio_mmio(Aml& aml, unsigned i) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  const std::array<char, 4> name = {'V', 'R', kDigits[i >> 4 & 15], kDigits[i & 15]};
  const Block device = aml.device({name.data(), name.size()});
  aml.name("_HID", "LNRO0005");
  aml.name("_UID", i);
  aml.name("_CCA", 1u);
  aml.name_op("_CRS");
  {
    Resources resources = aml.resources();
    resources.memory32_fixed(true, 0xc000'0000 + i * 0x1000, 0x1000);
    resources.interrupt({.edge = true}, 32 + i);
  }
  aml.name("_STA", 0xfu);
}

void put_com1(Aml& aml) {
  const Block device = aml.device("COM1");
  aml.name("_HID", EisaId{"PNP0501"});
  aml.name("_UID", 0u);
  aml.name_op("_CRS");
  Resources resources = aml.resources();
  resources.interrupt({.edge = true}, 4);
  resources.io(0x3f8, 0x3f8, 0, 8);
}

void write_dsdt(TableBuffer& out, unsigned devices) {
  const Table table(out, "DSDT", 2, kOem);
  Aml aml(out);
  const Block scope = aml.scope("\\_SB_");
  for (unsigned i = 0; i < devices; ++i) put_virtio_mmio(aml, i);
  put_com1(aml);
}

template <class Writer>
void run(bench::Bench& bench, std::string_view name, const Writer& write) {
  bench.run(name, [&write] {
    std::array<std::byte, 8192> storage;
    TableBuffer out(storage);
    write(out);
    keep(*out.finish()->data());
  });
}

VMM_BENCH(bench) {
  run(bench, "acpi-tables/madt_1cpu", [](TableBuffer& out) { write_madt(out, opaque(1u)); });
  run(bench, "acpi-tables/madt_64cpu", [](TableBuffer& out) { write_madt(out, opaque(64u)); });
  run(bench, "acpi-tables/dsdt_8_virtio_mmio",
      [](TableBuffer& out) { write_dsdt(out, opaque(8u)); });
  run(bench, "acpi-tables/dsdt_64_virtio_mmio",
      [](TableBuffer& out) { write_dsdt(out, opaque(64u)); });
  const std::array<std::uint64_t, 8> tables{1, 2, 3, 4, 5, 6, 7, 8};
  run(bench, "acpi-tables/xsdt_8_entries", [&tables](TableBuffer& out) {
    write_xsdt(out, kOem, std::span(tables).first(opaque(std::size_t{8})));
  });
  bench.run("acpi-tables/rsdp", [] { keep(rsdp(kOem.id, opaque(std::uint64_t{0x1234'5678}))); });
}

}  // namespace
}  // namespace vmm::acpi_tables
