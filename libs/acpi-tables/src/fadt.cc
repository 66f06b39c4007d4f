// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/acpi_tables/fadt.h"

namespace vmm::acpi_tables {
namespace {

constexpr std::uint8_t kRevision = 6;
constexpr std::uint8_t kMinorRevision = 3;
constexpr std::uint8_t kPmTimerBytes = 4;

std::uint32_t low_if_it_fits(std::uint64_t address) {
  return address <= 0xffff'ffff ? static_cast<std::uint32_t>(address) : 0;
}

}  // namespace

void write_fadt(TableBuffer& out, const Oem& oem, const Fadt& fadt) {
  const Table table(out, "FACP", kRevision, oem);
  const bool has_timer = fadt.pm_timer.address != 0;
  // Where both forms exist, only the 64-bit one is set for the FACS (5.2.9, FIRMWARE_CTRL).
  out.put(std::uint32_t{0}, low_if_it_fits(fadt.dsdt), std::uint8_t{0}, fadt.profile,
          fadt.sci_interrupt);
  out.zeros(76 - 48);  // SMI_CMD to PM2_CNT_BLK: not on a hardware-reduced platform
  const bool io_timer = has_timer && fadt.pm_timer.space == GenericAddress::kSystemIo;
  out.put(io_timer ? low_if_it_fits(fadt.pm_timer.address) : 0u);
  out.zeros(91 - 80);
  out.put(has_timer ? kPmTimerBytes : std::uint8_t{0});
  out.zeros(109 - 92);  // GPE lengths, latencies, duty cycle, RTC alarm indices
  out.put(fadt.boot_arch, std::uint8_t{0}, fadt.flags);
  put(out, fadt.reset_register);
  out.put(fadt.reset_value, fadt.arm_boot_arch, kMinorRevision, fadt.facs, fadt.dsdt);
  out.zeros(208 - 148);
  put(out, fadt.pm_timer);
  out.zeros(244 - 220);
  put(out, fadt.sleep_control);
  put(out, fadt.sleep_status);
  out.bytes(std::as_bytes(std::span(fadt.hypervisor)));
}

}  // namespace vmm::acpi_tables
