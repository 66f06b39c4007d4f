// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The hardware-reduced ACPI tables of a guest. Spec: ACPI 6.5.

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>

#include "vmm/acpi_tables/aml.h"
#include "vmm/acpi_tables/table.h"
#include "vmm/acpi_tables/table_buffer.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/arch/x86_64/topology.h"
#include "vmm/vm_memory/memory_view.h"

namespace vmm::arch::x86_64 {

/// The generic event device: a one-byte register that reads as the pending events and clears them.
struct GedConfig {
  /// @{
  /// Bits of the register: what the guest is to look at, or which button was pressed.
  static constexpr std::uint8_t kCpu = 1 << 0;
  static constexpr std::uint8_t kMemory = 1 << 1;
  static constexpr std::uint8_t kPci = 1 << 2;
  static constexpr std::uint8_t kPowerButton = 1 << 3;
  /// @}

  GuestAddress status{};        ///< guest-physical address of the register
  std::uint32_t gsi = kGedIrq;  ///< edge-triggered
  /// The method without arguments that looks for PCI devices that came or are to go, an absolute
  /// path; empty: none does.
  std::string_view pci_scan{};
};

/// A virtio-mmio device for the DSDT (LNRO0005).
struct AcpiVirtioMmio {
  AddressRange registers;  ///< below 4 GiB
  std::uint32_t gsi;       ///< of the IOAPIC
};

/// What a guest is told of its machine. Everything is borrowed.
struct AcpiConfig {
  const ApicIds* ids = nullptr;                   ///< required; one CPU each
  bool serial = true;                             ///< COM1 at kSerialPort
  bool cmos_rtc = false;                          ///< there is an RTC at kCmosPort
  bool i8042 = false;                             ///< there is a keyboard controller
  std::optional<GedConfig> ged{};                 ///< and with it the power button
  std::span<const AcpiVirtioMmio> virtio_mmio{};  ///< in the DSDT, in this order
  /// Writes further objects into \_SB_, for example PCI root bridges.
  std::function<void(acpi_tables::Aml&)> devices{};
  /// Each writes one further table, for example an MCFG; they stand last in the XSDT, in this
  /// order.
  std::span<const std::function<void(acpi_tables::TableBuffer&)>> tables{};
};

/// Where the tables are, after write_acpi().
struct AcpiPlacement {
  GuestAddress rsdp;  ///< for make_zero_page() or write_pvh()
  GuestAddress end;   ///< the first address behind the tables
};

/// Who made the table with this signature: what all tables here say, for those of a caller.
acpi_tables::Oem acpi_oem(const char (&signature)[5]);

/// Builds the tables as they stand from kRsdp on: RSDP, DSDT, FACP, APIC, those of the caller,
/// XSDT. Errors (as vmm::Error): kNoCpus without `ids`; an AcpiError, kTooLarge when they would
/// reach kSmbios.
Result<acpi_tables::TableBuffer> make_acpi(const AcpiConfig& config);

/// Writes them, and the EBDA pointer that leads old guests to them. Errors: as make_acpi(), or a
/// MemoryError.
Result<AcpiPlacement> write_acpi(vm_memory::MemoryView memory, const AcpiConfig& config);

}  // namespace vmm::arch::x86_64
