// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/acpi_tables/console.h"

namespace vmm::acpi_tables {

void write_spcr(TableBuffer& out, const Oem& oem, const SerialConsole& console) {
  constexpr std::uint8_t kNoParity = 0;
  constexpr std::uint8_t kOneStopBit = 1;
  constexpr std::uint8_t kNoFlowControl = 0;
  constexpr std::uint16_t kNotPci = 0xffff;
  const Table table(out, "SPCR", 2, oem);
  out.put(static_cast<std::uint8_t>(console.kind), std::uint8_t{0}, std::uint16_t{0});
  put(out, console.base);
  out.put(console.interrupt_kind, console.irq, console.gsi, console.baud, kNoParity, kOneStopBit,
          kNoFlowControl, console.terminal, std::uint8_t{0}, kNotPci, kNotPci);
  out.zeros(3 + 4 + 1 + 4);  // PCI bus, device, function, flags and segment; reserved
}

void write_dbg2(TableBuffer& out, const Oem& oem, UartKind kind, const GenericAddress& base,
                std::uint32_t bytes, std::string_view path) {
  constexpr std::uint32_t kFirstDevice = 44;
  constexpr std::uint16_t kInfoBytes = 22;
  constexpr std::uint16_t kAddressAt = kInfoBytes;
  constexpr std::uint16_t kSizeAt = kAddressAt + 12;
  constexpr std::uint16_t kNameAt = kSizeAt + 4;
  constexpr std::uint16_t kSerial = 0x8000;
  constexpr std::size_t kMaxPath = 1024;
  const Table table(out, "DBG2", 0, oem);
  if (path.empty() || path.size() > kMaxPath || path.find('\0') != path.npos) {
    return out.fail(AcpiError::kBadString);
  }
  const auto name_bytes = static_cast<std::uint16_t>(path.size() + 1);
  out.put(kFirstDevice, std::uint32_t{1});
  out.put(std::uint8_t{0}, static_cast<std::uint16_t>(kNameAt + name_bytes), std::uint8_t{1},
          name_bytes, kNameAt, std::uint16_t{0}, std::uint16_t{0}, kSerial,
          static_cast<std::uint16_t>(kind), std::uint16_t{0}, kAddressAt, kSizeAt);
  put(out, base);
  out.put(bytes);
  out.bytes(std::as_bytes(std::span(path)));
  out.put(std::uint8_t{0});
}

void write_tpm2(TableBuffer& out, const Oem& oem, const Tpm2& tpm) {
  constexpr std::uint16_t kClientPlatform = 0;
  const Table table(out, "TPM2", 4, oem);
  out.put(kClientPlatform, std::uint16_t{0}, tpm.control_area, tpm.start_method);
  out.zeros(12);  // parameters of the start method
  out.put(tpm.log_min_bytes, tpm.log);
}

}  // namespace vmm::acpi_tables
