// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Register values of the boot vCPU, as plain structures. Spec:
// Documentation/arch/arm64/booting.rst; Arm ARM (DDI 0487), C5.2 for PSTATE. The other vCPUs start
// by PSCI and need none.

#include <array>
#include <cstdint>

#include "vmm/base/guest_address.h"

namespace vmm::arch::aarch64 {

// PSTATE, as SPSR_EL1 has it.
inline constexpr std::uint64_t kPstateEl1h = 5;  ///< exception level 1, its own stack pointer
/// @{
/// Mask debug exceptions, SError, IRQ and FIQ.
inline constexpr std::uint64_t kPstateMaskD = 1 << 9;
inline constexpr std::uint64_t kPstateMaskA = 1 << 8;
inline constexpr std::uint64_t kPstateMaskI = 1 << 7;
inline constexpr std::uint64_t kPstateMaskF = 1 << 6;
/// @}

/// What the boot vCPU starts with.
struct BootRegisters {
  /// EL1 with debug, SError, IRQ and FIQ masked.
  std::uint64_t pstate = kPstateMaskD | kPstateMaskA | kPstateMaskI | kPstateMaskF | kPstateEl1h;
  std::uint64_t pc = 0;              ///< guest-physical, as the MMU is off
  std::array<std::uint64_t, 4> x{};  ///< X0 to X3
};

/// A kernel's entry: X0 is the device tree's address, X1 to X3 are 0.
[[nodiscard]] constexpr BootRegisters linux_registers(GuestAddress entry,
                                                      GuestAddress device_tree) {
  return {.pc = entry.raw(), .x = {device_tree.raw(), 0, 0, 0}};
}

}  // namespace vmm::arch::aarch64
