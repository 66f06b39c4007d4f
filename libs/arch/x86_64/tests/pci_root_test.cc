// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/x86_64/pci_root.h"

#include <array>
#include <catch2/catch.hpp>
#include <functional>
#include <string>
#include <vector>

#include "vmm/acpi_tables/testing/iasl.h"
#include "vmm/arch/x86_64/acpi.h"
#include "vmm/base/endian.h"

namespace vmm::arch::x86_64 {
namespace {

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::uint64_t kGiB = 1 << 30;

const std::array<AcpiPciRoot, 2> kRoots{
    AcpiPciRoot{.segment = 0,
                .ecam = {kEcam.base, kMiB},
                .window32 = {GuestAddress(0xc000'0000), 512 * kMiB},
                .window64 = {GuestAddress(0x2'0000'0000), 8 * kGiB}},
    AcpiPciRoot{.segment = 1,
                .ecam = {GuestAddress(kEcam.base.raw() + kMiB), kMiB},
                .window32 = {GuestAddress(0xe000'0000), 128 * kMiB},
                .window64 = {GuestAddress(0x4'0000'0000), 8 * kGiB}}};

int count_in(const std::string& source, const std::string& text) {
  int found = 0;
  for (std::size_t at = source.find(text); at != std::string::npos;
       at = source.find(text, at + 1)) {
    ++found;
  }
  return found;
}

/// One of the tables.
Result<std::vector<std::byte>> table_from(const AcpiConfig& config, const std::string& signature) {
  VMM_TRY(const acpi_tables::TableBuffer made, make_acpi(config));
  VMM_TRY(const std::span<const std::byte> bytes, made.finish());
  for (std::size_t at = 0; at + 8 < bytes.size(); at += 4) {
    if (std::string(reinterpret_cast<const char*>(&bytes[at]), 4) != signature) continue;
    const auto size = load_le<std::uint32_t>(&bytes[at + 4]);
    return std::vector(bytes.begin() + static_cast<std::ptrdiff_t>(at),
                       bytes.begin() + static_cast<std::ptrdiff_t>(at + size));
  }
  return std::vector<std::byte>();
}

/// One table of a guest with these bridges.
Result<std::vector<std::byte>> table_of(std::span<const AcpiPciRoot> roots,
                                        const std::string& signature) {
  const ApicIds ids = *ApicIds::create(Topology::flat(1), 1);
  const std::function<void(acpi_tables::TableBuffer&)> tables[] = {
      [&](acpi_tables::TableBuffer& out) { write_pci_mcfg(out, roots); }};
  return table_from({.ids = &ids,
                     .devices = [&](acpi_tables::Aml& aml) { write_pci_roots(aml, roots); },
                     .tables = tables},
                    signature);
}

TEST_CASE("the MCFG has the configuration space of each segment", "[pci]") {
  const auto mcfg = table_of(kRoots, "MCFG");
  REQUIRE(mcfg);
  REQUIRE(mcfg->size() == 44 + 2 * 16);
  CHECK(load_le<std::uint64_t>(&(*mcfg)[44]) == kEcam.base.raw());
  CHECK(load_le<std::uint64_t>(&(*mcfg)[60]) == kEcam.base.raw() + kMiB);
  CHECK(load_le<std::uint16_t>(&(*mcfg)[68]) == 1);
  CHECK((*mcfg)[70] == std::byte{0});
  CHECK((*mcfg)[71] == std::byte{0});
}

TEST_CASE("the DSDT has the root bridges with their windows and interrupts", "[pci]") {
  const auto dsdt = table_of(kRoots, "DSDT");
  REQUIRE(dsdt);
  const auto verdict = acpi_tables::testing::judge(*dsdt);
  if (!verdict.found) {
    WARN("skipped: there is no iasl here");
    return;
  }
  CHECK(verdict.complaints == "");
  CHECK(verdict.same_bytes);
  const auto count = [&](const std::string& text) { return count_in(verdict.source, text); };
  CHECK(count("PNP0A08") == 2);
  CHECK(count("0x0CF8") == 2);  // once, with both its ends: segment 0 alone has the ports
  CHECK(count("0xC0000000") == 1);
  CHECK(count("0x0000000400000000") == 1);
  CHECK(count("0x001FFFFF") == 2);
  CHECK(count("Name (_SEG, One)") == 1);
}

TEST_CASE("the DSDT has methods for devices that come and go", "[pci][hotplug]") {
  const ApicIds ids = *ApicIds::create(Topology::flat(1), 1);
  const AcpiPciHotplug hotplug{.registers = GuestAddress(0x3fff'fff0'1000)};
  const auto dsdt =
      table_from({.ids = &ids,
                  .ged = GedConfig{.status = GuestAddress(0x3fff'fff0'0000), .pci_scan = kPciScan},
                  .devices = [&](acpi_tables::Aml& aml) { write_pci_roots(aml, kRoots, hotplug); }},
                 "DSDT");
  REQUIRE(dsdt);
  const auto verdict = acpi_tables::testing::judge(*dsdt);
  if (!verdict.found) {
    WARN("skipped: there is no iasl here");
    return;
  }
  CHECK(verdict.complaints == "");
  CHECK(verdict.same_bytes);
  const auto count = [&](const std::string& text) { return count_in(verdict.source, text); };
  CHECK(count("OperationRegion (PCST, SystemMemory, 0x00003FFFFFF01000, 0x10)") == 1);
  CHECK(count("PHPR.PSCN ()") == 1);  // called for the event
  CHECK(count(".PCNT ()") == 2);
  CHECK(count("Method (_EJ0, 1, Serialized)") == 2 * 31);
  CHECK(count("Device (S000)") == 0);  // the host bridge stays
  CHECK(count("Device (S01F)") == 2);
  CHECK(count("PCEJ (Arg0, Zero)") == 1);
  CHECK(count("PCEJ (Arg0, One)") == 1);
  CHECK(count("Notify (S01F, Arg1)") == 2);
  CHECK(count("Name (_ADR, 0x001F0000)") == 2);
}

TEST_CASE("the most segments, CPUs and slots fit", "[pci][hotplug]") {
  const ApicIds ids = *ApicIds::create(Topology::flat(255), 255);
  const std::vector<AcpiPciRoot> roots(96, kRoots[1]);
  const AcpiPciHotplug hotplug{.registers = GuestAddress(0x3fff'fff0'1000)};
  CHECK(
      table_from({.ids = &ids,
                  .ged = GedConfig{.pci_scan = kPciScan},
                  .devices = [&](acpi_tables::Aml& aml) { write_pci_roots(aml, roots, hotplug); }},
                 "DSDT"));
}

TEST_CASE("windows that 32 bits do not hold are refused", "[pci][hostile]") {
  AcpiPciRoot root = kRoots[0];
  root.window32 = {GuestAddress(0xffff'0000), 0x2'0000};
  CHECK_FALSE(table_of({&root, 1}, "DSDT"));
  root = kRoots[0];
  root.ecam = {GuestAddress(0x1'0000'0000), kMiB};
  CHECK_FALSE(table_of({&root, 1}, "DSDT"));
  root = kRoots[0];
  root.window64 = {GuestAddress(~std::uint64_t{0} - 10), kMiB};
  CHECK_FALSE(table_of({&root, 1}, "DSDT"));
}

}  // namespace
}  // namespace vmm::arch::x86_64
