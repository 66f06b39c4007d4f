// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "dsdt.h"

#include "indexed_name.h"
#include "vmm/acpi_tables/aml_terms.h"
#include "vmm/acpi_tables/resources.h"

namespace vmm::arch::x86_64 {
namespace {

using namespace acpi_tables;  // NOLINT(google-build-using-namespace): the words of AML

void put_serial(Aml& aml) {
  const Block device = aml.device("COM1");
  aml.name("_HID", EisaId{"PNP0501"});
  aml.name("_UID", 0u);
  aml.name("_DDN", "COM1");
  aml.name_op("_CRS");
  Resources resources = aml.resources();
  resources.interrupt({.edge = true}, kSerialIrq);
  resources.io(kSerialPort, kSerialPort, 0, 8);
}

void put_power_button(Aml& aml) {
  const Block device = aml.device("PWRB");
  aml.name("_HID", EisaId{"PNP0C0C"});
  aml.name("_UID", 0u);
}

/// Its method reads the pending events once, which clears them, and notifies whom they concern.
void put_ged(Aml& aml, const GedConfig& ged) {
  constexpr std::uint32_t kPressed = 0x80;
  const Block device = aml.device("GED_");
  aml.name("_HID", "ACPI0013");
  aml.name("_UID", 0u);
  {
    aml.name_op("_CRS");
    Resources resources = aml.resources();
    resources.interrupt({.edge = true}, ged.gsi);
  }
  aml.operation_region("GDST", RegionSpace::kSystemMemory, ged.status.raw(), 1u);
  {
    FieldList field =
        aml.field("GDST", {.access = FieldAccess::kByte, .update = FieldUpdate::kWriteAsZeros});
    field.named("GDAT", 8);
  }
  const Block method = aml.method("_EVT", {.arguments = 1, .serialized = true});
  aml.put(store(Path{"GDAT"}, Local{0}));
  if (!ged.pci_scan.empty()) {
    const Block changed = aml.if_(bit_and(Local{0}, unsigned{GedConfig::kPci}, NoTarget{}));
    aml.put(call(Path{ged.pci_scan}));
  }
  const Block pressed = aml.if_(bit_and(Local{0}, unsigned{GedConfig::kPowerButton}, NoTarget{}));
  aml.put(notify(Path{"\\_SB_.PWRB"}, kPressed));
}

void put_cpus(Aml& aml, std::uint32_t count) {
  const Block container = aml.device("CPUS");
  aml.name("_HID", "ACPI0010");
  for (std::uint32_t i = 0; i < count; ++i) {
    const Block cpu = aml.device(IndexedName('C', i).view());
    aml.name("_HID", "ACPI0007");
    aml.name("_UID", i);
  }
}

void put_virtio_mmio(Aml& aml, std::uint32_t index, const AcpiVirtioMmio& virtio) {
  const Block device = aml.device(IndexedName('V', index).view());
  aml.name("_HID", "LNRO0005");
  aml.name("_UID", index);
  aml.name("_CCA", 1u);
  aml.name_op("_CRS");
  Resources resources = aml.resources();
  if (virtio.registers.base.raw() > 0xffff'ffff || virtio.registers.size > 0xffff'ffff) {
    return aml.out().fail(AcpiError::kBadRange);
  }
  resources.memory32_fixed(true, static_cast<std::uint32_t>(virtio.registers.base.raw()),
                           static_cast<std::uint32_t>(virtio.registers.size));
  resources.interrupt({.edge = true}, virtio.gsi);
}

}  // namespace

void write_dsdt(TableBuffer& out, const Oem& oem, const AcpiConfig& config) {
  constexpr std::uint8_t kRevision = 2;  // 64-bit integers
  constexpr std::size_t kMaxVirtioMmio = 0x1000;
  const Table table(out, "DSDT", kRevision, oem);
  Aml aml(out);
  {
    const Block system_bus = aml.scope("\\_SB_");
    if (config.serial) put_serial(aml);
    if (config.ged) {
      put_power_button(aml);
      put_ged(aml, *config.ged);
    }
    put_cpus(aml, config.ids->vcpus());
    if (config.virtio_mmio.size() > kMaxVirtioMmio) out.fail(AcpiError::kTooManyElements);
    std::uint32_t index = 0;
    for (const AcpiVirtioMmio& virtio : config.virtio_mmio) put_virtio_mmio(aml, index++, virtio);
    if (config.devices) config.devices(aml);
  }
  aml.name_op("_S5_");
  Package sleep_type = aml.package();
  sleep_type.add(5u);
}

}  // namespace vmm::arch::x86_64
