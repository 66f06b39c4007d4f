// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "vmm/acpi_tables/aml.h"
#include "vmm/acpi_tables/table_buffer.h"
#include "vmm/arch/x86_64/layout.h"

namespace vmm::arch::x86_64 {

/// A PCI segment with one bus, as ACPI describes it: the root bridge of the PCI Firmware
/// Specification 3.3, 4.
struct AcpiPciRoot {
  std::uint16_t segment = 0;                              ///< _SEG
  AddressRange ecam{kEcam.base, std::uint64_t{1} << 20};  ///< 1 MiB for its one bus
  AddressRange window32{};                                ///< of size 0: none, as for the next one
  AddressRange window64{};                                ///< of 64-bit addresses
  /// The interrupt of pin A of slot n is first_gsi + n % kPciIrqs, level-sensitive, active high.
  std::uint32_t first_gsi = kFirstPciIrq;
};

/// The registers of pci::HotplugRegisters: which slots were filled, which are to be given back.
struct AcpiPciHotplug {
  /// Of the window in memory.
  static constexpr std::uint64_t kBytes = 16;

  GuestAddress registers{};  ///< guest-physical
};

/// Writes the root bridges, and the device that reserves their configuration space. For
/// AcpiConfig::devices. With `hotplug`, slots 1 to 31 of each can be ejected, and there is the
/// method kPciScan, for AcpiConfig::ged. Errors (sticking to the buffer): kBadRange for windows
/// beyond what their kind of address holds.
void write_pci_roots(acpi_tables::Aml& aml, std::span<const AcpiPciRoot> roots,
                     const std::optional<AcpiPciHotplug>& hotplug = std::nullopt);
/// Tells the guest of all slots that changed. No arguments, no result.
inline constexpr std::string_view kPciScan = "\\_SB_.PHPR.PSCN";
/// Writes the MCFG, which says where the configuration space is. For AcpiConfig::tables.
void write_pci_mcfg(acpi_tables::TableBuffer& out, std::span<const AcpiPciRoot> roots);

}  // namespace vmm::arch::x86_64
