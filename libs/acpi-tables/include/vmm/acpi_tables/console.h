// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <string_view>

#include "vmm/acpi_tables/table.h"

namespace vmm::acpi_tables {

/// Kinds of serial ports, as SPCR and DBG2 number them.
enum class UartKind : std::uint8_t { k16550 = 0, kPl011 = 3, k16550Gas = 0x12 };

/// A serial console, as SPCR describes it.
struct SerialConsole {
  /// Bits of `interrupt_kind`: a PC's 8259, an I/O APIC or a GIC delivers the interrupt.
  enum InterruptKind : std::uint8_t { kIsa = 1, kIoApic = 2, kGic = 8 };

  /// @{
  /// Which UART, where its registers are, and bits of InterruptKind.
  UartKind kind = UartKind::k16550;
  GenericAddress base{};
  std::uint8_t interrupt_kind = kIoApic;
  /// @}
  std::uint8_t irq = 0;       ///< with kIsa
  std::uint32_t gsi = 0;      ///< the global system interrupt, without kIsa
  std::uint8_t baud = 7;      ///< 3: 9600, 4: 19200, 6: 57600, 7: 115200, 0: as it is
  std::uint8_t terminal = 3;  ///< 0: VT100, 3: ANSI
};
/// The console of the platform. Spec: Microsoft SPCR, revision 2.
void write_spcr(TableBuffer& out, const Oem& oem, const SerialConsole& console);

/// A debug port: a serial port of `bytes` registers that `path` names in the namespace.
/// Spec: Microsoft DBG2, revision 0. Errors: kBadString for a path that is empty or too long.
void write_dbg2(TableBuffer& out, const Oem& oem, UartKind kind, const GenericAddress& base,
                std::uint32_t bytes, std::string_view path);

/// A TPM 2.0 with a command response buffer whose control area is at guest-physical
/// `control_area`. Spec: TCG ACPI 1.4, revision 4.
struct Tpm2 {
  /// How a command is started.
  enum StartMethod : std::uint32_t { kAcpi = 2, kMmio = 6, kCrb = 7, kCrbWithAcpi = 8 };
  std::uint64_t control_area = 0;     ///< guest-physical, of the control area
  std::uint32_t start_method = kCrb;  ///< a StartMethod
  /// @{
  /// The event log: bytes at least, and guest-physical address; 0: none.
  std::uint32_t log_min_bytes = 0;
  std::uint64_t log = 0;
  /// @}
};
/// Writes the table.
void write_tpm2(TableBuffer& out, const Oem& oem, const Tpm2& tpm);

}  // namespace vmm::acpi_tables
