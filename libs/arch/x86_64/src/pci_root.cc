// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/x86_64/pci_root.h"

#include <array>
#include <string>

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

// ---- Hot-plug ----

constexpr std::uint16_t kForEver = 0xffff;
constexpr std::uint32_t kDeviceCheck = 1;  // values of Notify: 5.6.6
constexpr std::uint32_t kEjectRequest = 3;
constexpr std::uint32_t kFirstHotplugSlot = 1;  // below is the host bridge
constexpr Path kRegistersLock{"\\_SB_.PHPR.BLCK"};
constexpr Path kUp{"\\_SB_.PHPR.PCIU"};
constexpr Path kDown{"\\_SB_.PHPR.PCID"};
constexpr Path kSegment{"\\_SB_.PHPR.PSEG"};

void put_hotplug_registers(Aml& aml, GuestAddress registers) {
  aml.operation_region("PCST", RegionSpace::kSystemMemory, registers.raw(), AcpiPciHotplug::kBytes);
  FieldList fields =
      aml.field("PCST", {.access = FieldAccess::kDword, .update = FieldUpdate::kWriteAsZeros});
  for (const std::string_view name : {"PCIU", "PCID", "B0EJ", "PSEG"}) fields.named(name, 32);
}

// Gives back a slot: its number, and that of its segment.
void put_eject_method(Aml& aml) {
  const Block method = aml.method("PCEJ", {.arguments = 2, .serialized = true});
  aml.put(acquire(Path{"BLCK"}, kForEver));
  aml.put(store(Arg{1}, Path{"PSEG"}));
  aml.put(shift_left(1u, Arg{0}, Path{"B0EJ"}));
  aml.put(release(Path{"BLCK"}));
}

void put_hotplug_controller(Aml& aml, std::size_t roots, const AcpiPciHotplug& hotplug) {
  const Block device = aml.device("PHPR");
  aml.name("_HID", EisaId{"PNP0A06"});
  aml.name("_UID", "PCI hot-plug");
  aml.name("_STA", 0x0bu);  // present, works, not shown
  aml.mutex("BLCK");
  aml.name_op("_CRS");
  {
    Resources resources = aml.resources();
    const std::uint64_t first = hotplug.registers.raw();
    resources.memory_window64(Caching::kNone, true, {first, first + AcpiPciHotplug::kBytes - 1});
  }
  put_hotplug_registers(aml, hotplug.registers);
  put_eject_method(aml);
  const Block method = aml.method("PSCN", {.serialized = true});
  for (std::uint32_t index = 0; index < roots; ++index) {
    const std::string name = "^^" + std::string(IndexedName('P', index).view()) + ".PCNT";
    aml.put(call(Path{name}));
  }
}

void put_slot(Aml& aml, std::uint32_t slot) {
  const Block device = aml.device(IndexedName('S', slot).view());
  aml.name("_SUN", slot);
  aml.name("_ADR", slot << 16);
  const Block method = aml.method("_EJ0", {.arguments = 1, .serialized = true});
  aml.put(call(Path{"SLEJ"}, slot));
}

// Notifies the slots of a mask: the mask, and what to tell them.
void put_notify_method(Aml& aml) {
  const Block method = aml.method("DVNT", {.arguments = 2, .serialized = true});
  for (std::uint32_t slot = kFirstHotplugSlot; slot < kSlots; ++slot) {
    const Block chosen = aml.if_(bit_and(Arg{0}, std::uint32_t{1} << slot, NoTarget{}));
    aml.put(notify(Path{IndexedName('S', slot).view()}, Arg{1}));
  }
}

// Reading takes the news away, so it is passed on at once, under the lock.
void put_scan_method(Aml& aml, std::uint32_t segment) {
  const Block method = aml.method("PCNT", {.serialized = true});
  aml.put(acquire(kRegistersLock, kForEver));
  aml.put(store(segment, kSegment));
  aml.put(call(Path{"DVNT"}, kUp, kDeviceCheck));
  aml.put(call(Path{"DVNT"}, kDown, kEjectRequest));
  aml.put(release(kRegistersLock));
}

void put_slots(Aml& aml, std::uint32_t segment) {
  {
    const Block method = aml.method("SLEJ", {.arguments = 1, .serialized = true});
    aml.put(call(Path{"\\_SB_.PHPR.PCEJ"}, Arg{0}, segment));
  }
  for (std::uint32_t slot = kFirstHotplugSlot; slot < kSlots; ++slot) put_slot(aml, slot);
  put_notify_method(aml);
  put_scan_method(aml, segment);
}

void put_root(Aml& aml, std::uint32_t index, const AcpiPciRoot& root, bool hotplug) {
  const Block device = aml.device(IndexedName('P', index).view());
  aml.name("_HID", EisaId{"PNP0A08"});
  aml.name("_CID", EisaId{"PNP0A03"});
  aml.name("_UID", index);
  aml.name("_SEG", std::uint32_t{root.segment});
  aml.name("_BBN", 0u);
  aml.name("_CCA", 1u);
  put_resources(aml, root);
  put_interrupts(aml, root);
  if (hotplug) put_slots(aml, root.segment);
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

void write_pci_roots(Aml& aml, std::span<const AcpiPciRoot> roots,
                     const std::optional<AcpiPciHotplug>& hotplug) {
  if (roots.empty()) return;
  put_ecam(aml, roots);
  if (hotplug) put_hotplug_controller(aml, roots.size(), *hotplug);
  std::uint32_t index = 0;
  for (const AcpiPciRoot& root : roots) put_root(aml, index++, root, hotplug.has_value());
}

void write_pci_mcfg(TableBuffer& out, std::span<const AcpiPciRoot> roots) {
  Mcfg mcfg(out, acpi_oem("MCFG"));
  for (const AcpiPciRoot& root : roots) mcfg.segment(root.segment, root.ecam.base.raw(), 0, 0);
  mcfg.close();
}

}  // namespace vmm::arch::x86_64
