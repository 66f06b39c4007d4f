// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/x86_64/acpi.h"

#include <catch2/catch.hpp>
#include <map>
#include <string>
#include <vector>

#include "vmm/acpi_tables/aml_terms.h"
#include "vmm/acpi_tables/numa.h"
#include "vmm/acpi_tables/pci.h"
#include "vmm/acpi_tables/testing/iasl.h"
#include "vmm/base/endian.h"

namespace vmm::arch::x86_64 {
namespace {

using acpi_tables::AcpiError;
using acpi_tables::TableBuffer;

unsigned sum(std::span<const std::byte> bytes) {
  unsigned total = 0;
  for (const std::byte b : bytes) total += std::to_integer<unsigned>(b);
  return total & 0xff;
}

using Tables = std::map<std::string, std::vector<std::byte>>;

std::vector<std::byte> read_table(const vm_memory::MemoryView& memory, std::uint64_t address) {
  const auto length = memory.read<Le32>(*GuestAddress(address).checked_add(4));
  REQUIRE(length.has_value());
  REQUIRE(length->get() <= 0x5'0000);
  std::vector<std::byte> table(length->get());
  REQUIRE(memory.read_bytes(GuestAddress(address), table).has_value());
  return table;
}

/// Follows the pointers from the RSDP as a guest does.
Tables walk(const vm_memory::MemoryView& memory, GuestAddress at) {
  std::array<std::byte, 36> rsdp;
  REQUIRE(memory.read_bytes(at, rsdp).has_value());
  CHECK(std::string(reinterpret_cast<const char*>(rsdp.data()), 8) == "RSD PTR ");
  CHECK(sum(std::span(rsdp).first(20)) == 0);
  CHECK(sum(rsdp) == 0);
  Tables tables;
  const auto add = [&](std::uint64_t address) {
    auto table = read_table(memory, address);
    std::string name(reinterpret_cast<const char*>(table.data()), 4);
    CHECK(sum(table) == 0);
    CHECK(std::string(reinterpret_cast<const char*>(&table[10]), 14) == "CPPVMMCPPV" + name);
    CHECK(address % 8 == 0);
    tables[name] = std::move(table);
  };
  add(load_le<std::uint64_t>(&rsdp[24]));
  const auto xsdt = tables.at("XSDT");
  for (std::size_t i = 36; i < xsdt.size(); i += 8) add(load_le<std::uint64_t>(&xsdt[i]));
  add(load_le<std::uint64_t>(&tables.at("FACP")[140]));
  return tables;
}

struct Guest {
  std::vector<std::byte> ram = std::vector<std::byte>(0x10'0000, std::byte{0xcc});
  vm_memory::RegionSpan region{GuestAddress(0), ram};
  ApicIds ids;

  explicit Guest(std::uint32_t vcpus) : ids(*ApicIds::create(Topology::flat(vcpus), vcpus)) {}
  [[nodiscard]] vm_memory::MemoryView view() const { return vm_memory::MemoryView(region); }
};

void check_with_iasl(const Tables& tables) {
  for (const auto& [name, table] : tables) {
    const auto verdict = acpi_tables::testing::judge(table);
    if (!verdict.found) {
      WARN("skipped: there is no iasl here");
      return;
    }
    INFO(name << "\n" << verdict.source);
    CHECK(verdict.complaints == "");
    CHECK(verdict.same_bytes);
  }
}

const AcpiVirtioMmio kVirtio[] = {{{GuestAddress(0xc000'0000), 0x1000}, 5},
                                  {{GuestAddress(0xc000'1000), 0x1000}, 6}};

TEST_CASE("a guest finds its tables from the RSDP, and iasl accepts each of them", "[acpi]") {
  for (const std::uint32_t vcpus : {1u, 4u, 254u, 300u}) {
    INFO(vcpus);
    const Guest guest(vcpus);
    AcpiConfig config{.ids = &guest.ids,
                      .cmos_rtc = true,
                      .i8042 = true,
                      .ged = GedConfig{.status = GuestAddress(0xf'fff0'0000)},
                      .virtio_mmio = kVirtio};
    config.devices = [](acpi_tables::Aml& aml) {
      const acpi_tables::Block device = aml.device("MORE");
      aml.name("_HID", acpi_tables::EisaId{"PNP0C02"});
    };
    const auto placed = write_acpi(guest.view(), config);
    REQUIRE(placed.has_value());
    CHECK(placed->rsdp == kRsdp);
    CHECK(placed->end.raw() <= kSmbios.raw());
    CHECK(load_le<std::uint16_t>(&guest.ram[kEbdaPointer.raw()]) == 0xa000);
    CHECK(guest.ram[placed->end.raw()] == std::byte{0xcc});
    const Tables tables = walk(guest.view(), placed->rsdp);
    CHECK(tables.size() == 4);
    if (vcpus != 254) check_with_iasl(tables);
  }
}

TEST_CASE("a caller adds tables, which a guest finds like the others", "[acpi]") {
  const Guest guest(2);
  const std::function<void(TableBuffer&)> more[] = {[](TableBuffer& out) {
                                                      acpi_tables::Mcfg mcfg(out, acpi_oem("MCFG"));
                                                      mcfg.segment(0, 0xe000'0000, 0, 255);
                                                    },
                                                    [](TableBuffer& out) {
                                                      acpi_tables::Srat srat(out, acpi_oem("SRAT"));
                                                      srat.local_x2apic(0, 1);
                                                    }};
  const auto placed = write_acpi(guest.view(), {.ids = &guest.ids, .tables = more});
  REQUIRE(placed.has_value());
  const Tables tables = walk(guest.view(), placed->rsdp);
  CHECK(tables.size() == 6);
  CHECK(tables.at("XSDT").size() == 36 + 4 * 8);
  CHECK(load_le<std::uint64_t>(&tables.at("MCFG")[44]) == 0xe000'0000);
  CHECK(tables.count("SRAT") == 1);
  check_with_iasl(tables);
}

TEST_CASE("the FADT tells what there is not, and how to end", "[acpi]") {
  const Guest guest(1);
  REQUIRE(write_acpi(guest.view(), {.ids = &guest.ids}).has_value());
  const auto fadt = walk(guest.view(), kRsdp).at("FACP");
  CHECK(fadt.size() == 276);
  CHECK(load_le<std::uint16_t>(&fadt[109]) == 0x24);  // no VGA, no CMOS RTC, no 8042, MSI works
  CHECK(load_le<std::uint32_t>(&fadt[112]) == 0x10'0435);
  const std::array<std::byte, 12> port{std::byte{1}, std::byte{8}, std::byte{0},
                                       std::byte{1}, std::byte{0}, std::byte{6}};
  for (const std::size_t at :
       std::initializer_list<std::size_t>{116, 244, 256}) {  // reset, sleep control and status
    CHECK(std::equal(port.begin(), port.end(), fadt.begin() + static_cast<long>(at)));
  }
  CHECK(fadt[128] == std::byte{kAcpiReset});
  CHECK(kAcpiPowerOff == 0x34);
  REQUIRE(write_acpi(guest.view(), {.ids = &guest.ids, .cmos_rtc = true, .i8042 = true}));
  CHECK(load_le<std::uint16_t>(&walk(guest.view(), kRsdp).at("FACP")[109]) == 0x06);
}

TEST_CASE("the MADT has an x2APIC for every vCPU, the IOAPIC and the serial port's IRQ", "[acpi]") {
  Guest guest(5);
  guest.ids = *ApicIds::create({1, 3, 1, 2}, 5);
  REQUIRE(write_acpi(guest.view(), {.ids = &guest.ids}).has_value());
  const auto madt = walk(guest.view(), kRsdp).at("APIC");
  CHECK(madt.size() == 44 + 5 * 16 + 12 + 10);
  CHECK(load_le<std::uint32_t>(&madt[36]) == 0xfee0'0000);
  CHECK(load_le<std::uint32_t>(&madt[40]) == 0);  // no 8259
  const std::uint32_t ids[] = {0, 1, 2, 4, 5};
  for (std::uint32_t i = 0; i < 5; ++i) {
    const std::byte* entry = &madt[44 + 16 * i];
    CHECK(entry[0] == std::byte{9});
    CHECK(load_le<std::uint32_t>(entry + 4) == ids[i]);
    CHECK(load_le<std::uint32_t>(entry + 8) == 1);
    CHECK(load_le<std::uint32_t>(entry + 12) == i);
  }
  CHECK(load_le<std::uint32_t>(&madt[124 + 4]) == 0xfec0'0000);
  CHECK(madt[136 + 3] == std::byte{4});
  CHECK(load_le<std::uint32_t>(&madt[136 + 4]) == 4);
}

TEST_CASE("the DSDT names the devices that are there, and no others", "[acpi]") {
  const Guest guest(2);
  const auto source_of = [&](const AcpiConfig& config) {
    REQUIRE(write_acpi(guest.view(), config).has_value());
    return acpi_tables::testing::judge(walk(guest.view(), kRsdp).at("DSDT"));
  };
  const auto bare = source_of({.ids = &guest.ids, .serial = false});
  if (!bare.found) {
    WARN("skipped: there is no iasl here");
    return;
  }
  const auto has = [](const auto& verdict, const char* text) {
    return verdict.source.find(text) != std::string::npos;
  };
  CHECK_FALSE(has(bare, "PNP0501"));
  CHECK_FALSE(has(bare, "ACPI0013"));
  CHECK_FALSE(has(bare, "PNP0C0C"));
  CHECK(has(bare, "ACPI0010"));
  CHECK(has(bare, "Device (C001)"));
  CHECK_FALSE(has(bare, "Device (C002)"));
  CHECK(has(bare, "Name (_S5"));

  const auto full = source_of({.ids = &guest.ids,
                               .ged = GedConfig{.status = GuestAddress(0x1234'5000), .gsi = 9},
                               .virtio_mmio = kVirtio});
  CHECK(has(full, "PNP0501"));
  CHECK(has(full, "0x03F8"));
  CHECK(has(full, "OperationRegion (GDST, SystemMemory, 0x12345000, One)"));
  CHECK(has(full, "0x00000009,"));
  CHECK(has(full, "Notify (\\_SB.PWRB, 0x80)"));
  CHECK(has(full, "Device (V001)"));
  CHECK(has(full, "0xC0001000"));
}

TEST_CASE("tables that do not fit or make no sense are refused", "[acpi][hostile]") {
  CHECK(make_acpi({}).error().code() == static_cast<int>(ArchError::kNoCpus));
  const Guest many(4097);
  const auto too_many = make_acpi({.ids = &many.ids});
  REQUIRE_FALSE(too_many.has_value());
  CHECK(too_many.error().code() == static_cast<int>(ArchError::kTooManyCpus));
  const Guest most(4096);
  CHECK(make_acpi({.ids = &most.ids}).has_value());

  const Guest guest(1);
  const auto error_of = [&](AcpiConfig config) {
    config.ids = &guest.ids;
    const auto tables = make_acpi(config);
    REQUIRE_FALSE(tables.has_value());
    return static_cast<AcpiError>(tables.error().code());
  };
  CHECK(error_of({.devices = [](acpi_tables::Aml& aml) {
          aml.buffer(std::vector<std::byte>(0x6'0000));
        }}) == AcpiError::kTooLarge);
  CHECK(error_of({.devices = [](acpi_tables::Aml& aml) { aml.path("bad"); }}) ==
        AcpiError::kBadName);
  const std::function<void(TableBuffer&)> huge[] = {[](TableBuffer& out) { out.zeros(0x6'0000); }};
  CHECK(error_of({.tables = huge}) == AcpiError::kTooLarge);
  const std::function<void(TableBuffer&)> open[] = {
      [](TableBuffer& out) { static_cast<void>(out.open_block()); }};
  CHECK(error_of({.tables = open}) == AcpiError::kUnbalanced);
  const AcpiVirtioMmio high[] = {{{GuestAddress(0x1'0000'0000), 0x1000}, 5}};
  CHECK(error_of({.virtio_mmio = high}) == AcpiError::kBadRange);
  const AcpiVirtioMmio large[] = {{{GuestAddress(0), 0x1'0000'0000}, 5}};
  CHECK(error_of({.virtio_mmio = large}) == AcpiError::kBadRange);
  const std::vector<AcpiVirtioMmio> crowd(0x1001);
  CHECK(error_of({.virtio_mmio = crowd}) == AcpiError::kTooManyElements);

  CHECK_FALSE(write_acpi(vm_memory::MemoryView(), {.ids = &guest.ids}).has_value());
}

}  // namespace
}  // namespace vmm::arch::x86_64
