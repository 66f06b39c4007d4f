// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/x86_64/acpi.h"

#include <algorithm>
#include <array>
#include <vector>

#include "dsdt.h"
#include "vmm/acpi_tables/fadt.h"
#include "vmm/acpi_tables/madt.h"
#include "vmm/acpi_tables/table.h"
#include "vmm/base/endian.h"

namespace vmm::arch::x86_64 {
namespace {

using acpi_tables::Fadt;
using acpi_tables::GenericAddress;
using acpi_tables::Madt;
using acpi_tables::Oem;
using acpi_tables::TableBuffer;

constexpr std::array<char, 6> kOemId = {'C', 'P', 'P', 'V', 'M', 'M'};
constexpr std::array<char, 8> kHypervisor = {'C', 'P', 'P', '-', 'V', 'M', 'M', ' '};
constexpr std::size_t kAlignment = 64;

/// The guest-physical address of what is written next, on a boundary of its own.
std::uint64_t next_address(TableBuffer& out) {
  out.align(kAlignment);
  return kRsdp.raw() + out.size();
}

std::uint64_t put_fadt(TableBuffer& out, const AcpiConfig& config, std::uint64_t dsdt) {
  const std::uint64_t address = next_address(out);
  const GenericAddress port = GenericAddress::io_byte(kAcpiPort);
  // What is declared absent is not probed for, which saves a guest much time.
  const unsigned boot_arch = Fadt::kNoVga | (config.cmos_rtc ? 0u : unsigned{Fadt::kNoCmosRtc}) |
                             (config.i8042 ? unsigned{Fadt::kHas8042} : 0u);
  acpi_tables::write_fadt(
      out, acpi_oem("FACP"),
      {.dsdt = dsdt,
       .boot_arch = static_cast<std::uint16_t>(boot_arch),
       .flags = Fadt::kHardwareReduced | Fadt::kResetRegister | Fadt::kWbinvd | Fadt::kC1Supported |
                Fadt::kNoFixedPowerButton | Fadt::kNoFixedSleepButton,
       .reset_register = port,
       .reset_value = kAcpiReset,
       .sleep_control = port,
       .sleep_status = port,
       .hypervisor = kHypervisor});
  return address;
}

std::uint64_t put_madt(TableBuffer& out, const ApicIds& ids) {
  const std::uint64_t address = next_address(out);
  Madt madt(out, acpi_oem("APIC"), static_cast<std::uint32_t>(kLocalApic.base.raw()));
  for (std::uint32_t cpu = 0; cpu < ids.vcpus(); ++cpu) madt.local_x2apic(cpu, ids.id(cpu));
  madt.io_apic(0, static_cast<std::uint32_t>(kIoApic.base.raw()), 0);
  madt.interrupt_override(static_cast<std::uint8_t>(kSerialIrq), kSerialIrq, Madt::kConforms);
  return address;
}

}  // namespace

Oem acpi_oem(const char (&signature)[5]) {
  Oem value{.id = kOemId, .table_id = {'C', 'P', 'P', 'V'}, .creator_id = {'C', 'P', 'P', 'V'}};
  std::copy_n(signature, 4, value.table_id.begin() + 4);
  return value;
}

Result<TableBuffer> make_acpi(const AcpiConfig& config) {
  if (config.ids == nullptr) return fail(ArchError::kNoCpus);
  if (config.ids->vcpus() > kMaxDsdtCpus) return fail(ArchError::kTooManyCpus);
  TableBuffer out(kSmbios.raw() - kRsdp.raw());
  out.zeros(acpi_tables::kRsdpBytes);  // written last
  const std::uint64_t dsdt = next_address(out);
  write_dsdt(out, acpi_oem("DSDT"), config);
  std::vector<std::uint64_t> tables = {put_fadt(out, config, dsdt), put_madt(out, *config.ids)};
  for (const auto& write : config.tables) {
    tables.push_back(next_address(out));
    write(out);
  }
  const std::uint64_t xsdt = next_address(out);
  acpi_tables::write_xsdt(out, acpi_oem("XSDT"), tables);
  out.patch_bytes(0, acpi_tables::rsdp(kOemId, xsdt));
  VMM_TRY_DO(out.finish());
  return out;
}

Result<AcpiPlacement> write_acpi(vm_memory::MemoryView memory, const AcpiConfig& config) {
  VMM_TRY(const TableBuffer tables, make_acpi(config));
  VMM_TRY(const std::span<const std::byte> bytes, tables.finish());
  VMM_TRY_DO(memory.write_bytes(kRsdp, bytes));
  VMM_TRY_DO(memory.write(kEbdaPointer, Le16(static_cast<std::uint16_t>(kEbda.raw() >> 4))));
  return AcpiPlacement{.rsdp = kRsdp, .end = GuestAddress(kRsdp.raw() + bytes.size())};
}

}  // namespace vmm::arch::x86_64
