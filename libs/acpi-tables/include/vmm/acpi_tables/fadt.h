// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstdint>

#include "vmm/acpi_tables/table.h"

namespace vmm::acpi_tables {

/// A fixed description table of revision 6.3 for hardware-reduced platforms: no PM1, PM timer or
/// GPE blocks. Spec: ACPI 6.5, 5.2.9.
struct Fadt {
  /// Bits of `boot_arch` (5.2.9.3).
  enum BootArch : std::uint16_t {
    kLegacyDevices = 1 << 0,
    kHas8042 = 1 << 1,
    kNoVga = 1 << 2,
    kNoMsi = 1 << 3,
    kNoAspm = 1 << 4,
    kNoCmosRtc = 1 << 5,
  };
  /// Bits of `arm_boot_arch` (5.2.9.4).
  enum ArmBootArch : std::uint16_t { kPsci = 1 << 0, kPsciOverHvc = 1 << 1 };
  /// Bits of `flags` (5.2.9, table 5.10).
  enum Flags : std::uint32_t {
    kWbinvd = 1 << 0,
    kC1Supported = 1 << 2,
    kNoFixedPowerButton = 1 << 4,
    kNoFixedSleepButton = 1 << 5,
    kResetRegister = 1 << 10,
    kHeadless = 1 << 12,
    kForceApicCluster = 1 << 18,
    kForceApicPhysical = 1 << 19,
    kHardwareReduced = 1 << 20,
    kLowPowerS0 = 1 << 21,
  };
  /// Values of `profile` (table 5.10).
  enum Profile : std::uint8_t {
    kUnspecified = 0,
    kDesktop = 1,
    kMobile = 2,
    kEnterpriseServer = 4
  };

  std::uint64_t dsdt = 0;  ///< guest-physical; in X_DSDT, and in DSDT when it fits
  std::uint64_t facs = 0;  ///< 0: none
  /// @{
  /// A Profile; the interrupt of ACPI events; bits of BootArch, ArmBootArch and Flags.
  std::uint8_t profile = kUnspecified;
  std::uint16_t sci_interrupt = 0;
  std::uint16_t boot_arch = 0;
  std::uint16_t arm_boot_arch = 0;
  std::uint32_t flags = kHardwareReduced;
  /// @}
  /// @{
  /// What resets the machine when kResetRegister is set: a register and the value.
  GenericAddress reset_register{};
  std::uint8_t reset_value = 0;
  /// @}
  GenericAddress pm_timer{};  ///< address 0: none
  /// @{
  /// Registers of a hardware-reduced platform's sleep; address 0: none.
  GenericAddress sleep_control{};
  GenericAddress sleep_status{};
  /// @}
  std::array<char, 8> hypervisor{};  ///< hypervisor vendor identity
};

/// The size of the table.
inline constexpr std::size_t kFadtBytes = 276;

/// Writes the table; its addresses are those of the guest.
void write_fadt(TableBuffer& out, const Oem& oem, const Fadt& fadt);

}  // namespace vmm::acpi_tables
