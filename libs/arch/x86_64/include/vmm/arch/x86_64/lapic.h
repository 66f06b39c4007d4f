// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace vmm::arch::x86_64 {

/// The register page of a local APIC, as KVM_GET_LAPIC gives it. Spec: Intel SDM 3, 11.4.1.
inline constexpr std::size_t kLapicPageBytes = 0x400;
/// The page, borrowed.
using LapicPage = std::span<std::byte, kLapicPageBytes>;

/// Offsets of registers in the page.
enum class LapicRegister : std::uint16_t { kId = 0x20, kLint0 = 0x350, kLint1 = 0x360 };
/// Delivery modes of a local vector table entry.
enum class Delivery : std::uint8_t { kFixed = 0, kNmi = 4, kExtInt = 7 };

/// A register's value.
[[nodiscard]] std::uint32_t lapic_read(std::span<const std::byte, kLapicPageBytes> page,
                                       LapicRegister at);
/// Sets a register in the page.
void lapic_write(LapicPage page, LapicRegister at, std::uint32_t value);

/// Wires LINT0 as ExtINT and LINT1 as NMI, as firmware leaves them; other bits stay.
void set_boot_lints(LapicPage page);

}  // namespace vmm::arch::x86_64
