// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/x86_64/pci_root.h"

#include <array>

#include "indexed_name.h"
#include "vmm/acpi_tables/aml_terms.h"
#include "vmm/acpi_tables/pci.h"
#include "vmm/acpi_tables/resources.h"
#include "vmm/arch/x86_64/acpi.h"

namespace vmm::arch::x86_64 {
namespace {

using namespace acpi_tables;  // NOLINT(google-build-using-namespace): the words of AML

constexpr std::uint32_t kSlots = 32;
constexpr std::uint16_t kConfigPort = 0xcf8;

bool below_4g(const AddressRange& range) {
  return range.base.raw() + range.size <= kHighRamAbove4G.raw();
}

void put_window(Aml& aml, Resources& resources, const AddressRange& window, bool wide) {
  if (window.size == 0) return;
  const std::uint64_t first = window.base.raw();
  const std::uint64_t last = first + (window.size - 1);
  if (last < first || (!wide && !below_4g(window))) return aml.out().fail(AcpiError::kBadRange);
  if (wide) return resources.memory_window64(Caching::kNone, true, {first, last});
  resources.memory_window32(Caching::kNone, true,
                            {static_cast<std::uint32_t>(first), static_cast<std::uint32_t>(last)});
}

void put_resources(Aml& aml, const AcpiPciRoot& root) {
  aml.name_op("_CRS");
  Resources resources = aml.resources();
  resources.bus_numbers({0, 0});
  if (root.segment == 0) resources.io(kConfigPort, kConfigPort, 1, 8);
  put_window(aml, resources, root.window32, false);
  put_window(aml, resources, root.window64, true);
}

// Pin A of each slot; the functions of virtual devices have no others.
void put_interrupts(Aml& aml, const AcpiPciRoot& root) {
  aml.name_op("_PRT");
  Package table = aml.package();
  for (std::uint32_t slot = 0; slot < kSlots; ++slot) {
    table.add([&](Aml& out) {
      Package row = out.package();
      row.add(slot << 16 | 0xffff);
      row.add(0u);
      row.add(0u);
      row.add(root.first_gsi + slot % kPciIrqs);
    });
  }
}

void put_root(Aml& aml, std::uint32_t index, const AcpiPciRoot& root) {
  const Block device = aml.device(IndexedName('P', index).view());
  aml.name("_HID", EisaId{"PNP0A08"});
  aml.name("_CID", EisaId{"PNP0A03"});
  aml.name("_UID", index);
  aml.name("_SEG", std::uint32_t{root.segment});
  aml.name("_BBN", 0u);
  aml.name("_CCA", 1u);
  put_resources(aml, root);
  put_interrupts(aml, root);
}

// Linux uses a configuration space only where a motherboard device claims it.
void put_ecam(Aml& aml, std::span<const AcpiPciRoot> roots) {
  const Block device = aml.device("MBRD");
  aml.name("_HID", EisaId{"PNP0C02"});
  aml.name("_UID", 0u);
  aml.name_op("_CRS");
  Resources resources = aml.resources();
  for (const AcpiPciRoot& root : roots) {
    if (!below_4g(root.ecam)) return aml.out().fail(AcpiError::kBadRange);
    resources.memory32_fixed(true, static_cast<std::uint32_t>(root.ecam.base.raw()),
                             static_cast<std::uint32_t>(root.ecam.size));
  }
}

}  // namespace

void write_pci_roots(Aml& aml, std::span<const AcpiPciRoot> roots) {
  if (roots.empty()) return;
  put_ecam(aml, roots);
  std::uint32_t index = 0;
  for (const AcpiPciRoot& root : roots) put_root(aml, index++, root);
}

void write_pci_mcfg(TableBuffer& out, std::span<const AcpiPciRoot> roots) {
  Mcfg mcfg(out, acpi_oem("MCFG"));
  for (const AcpiPciRoot& root : roots) mcfg.segment(root.segment, root.ecam.base.raw(), 0, 0);
  mcfg.close();
}

}  // namespace vmm::arch::x86_64
