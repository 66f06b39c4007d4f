// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Register ids of KVM_GET_ONE_REG: architecture, size, class and number in one word. The kernel's
// headers on a host have its own architecture's only; these are there on every host.

#include <array>
#include <cstddef>
#include <cstdint>

namespace vmm::kvm_ioctls {

/// The id of one register: see the functions below.
enum class RegId : std::uint64_t {};

/// @{
/// Bits 63:56 of a register's id: the architecture (KVM_REG_*).
inline constexpr std::uint64_t kRegArchX86 = 0x2000'0000'0000'0000;
inline constexpr std::uint64_t kRegArchArm64 = 0x6000'0000'0000'0000;
inline constexpr std::uint64_t kRegArchRiscv = 0x8000'0000'0000'0000;
/// @}
/// @{
/// Bits 55:52 of a register's id: the size, as the power of two of bytes (KVM_REG_SIZE_*).
inline constexpr std::uint64_t kRegSizeShift = 52;
inline constexpr std::uint64_t kRegSizeMask = 0x00f0'0000'0000'0000;
inline constexpr std::uint64_t kRegSizeU32 = 0x0020'0000'0000'0000;
inline constexpr std::uint64_t kRegSizeU64 = 0x0030'0000'0000'0000;
inline constexpr std::uint64_t kRegSizeU128 = 0x0040'0000'0000'0000;
/// @}

/// Bytes of the register; 0 for a size that does not exist (above 256 bytes).
[[nodiscard]] constexpr std::size_t reg_bytes(RegId id) {
  const std::uint64_t log2 = (static_cast<std::uint64_t>(id) & kRegSizeMask) >> kRegSizeShift;
  return log2 <= 8 ? std::size_t{1} << log2 : 0;
}

/// A 64-bit core register of aarch64 at byte `offset` of struct user_pt_regs.
[[nodiscard]] constexpr RegId arm64_core_reg(std::uint64_t offset) {
  return static_cast<RegId>(kRegArchArm64 | kRegSizeU64 | 0x0010'0000 | offset / 4);
}
/// A system register of aarch64 by the operands of MRS.
struct Arm64SysReg {
  /// @{
  std::uint8_t op0, op1, crn, crm, op2;  ///< the five operands, of 2, 3, 4, 4 and 3 bits
  /// @}
};
/// KVM_REG_ARM64_SYSREG of the operands; bits above an operand's size are cut off.
[[nodiscard]] constexpr RegId arm64_sys_reg(const Arm64SysReg& r) {
  return static_cast<RegId>(kRegArchArm64 | kRegSizeU64 | 0x0013'0000 | (r.op0 & 3ull) << 14 |
                            (r.op1 & 7ull) << 11 | (r.crn & 15ull) << 7 | (r.crm & 15ull) << 3 |
                            (r.op2 & 7ull));
}

/// The classes of riscv64's registers; all have the size of a 64-bit word here.
enum class RiscvRegClass : std::uint64_t {
  kConfig = 0x0100'0000,
  kCore = 0x0200'0000,
  kCsr = 0x0300'0000,
  kTimer = 0x0400'0000,
  kIsaExtension = 0x0700'0000,
  kSbiExtension = 0x0800'0000,
};
/// Register `index` of a class: a position in the class's structure in words, or an extension's
/// number (asm/kvm.h).
[[nodiscard]] constexpr RegId riscv64_reg(RiscvRegClass kind, std::uint64_t index) {
  return static_cast<RegId>(kRegArchRiscv | kRegSizeU64 | static_cast<std::uint64_t>(kind) | index);
}

/// struct kvm_vcpu_init of aarch64.
struct VcpuInit {
  /// @{
  static constexpr std::uint32_t kPowerOff = 0;  ///< bit numbers of `features`
  static constexpr std::uint32_t kEl1Aarch32 = 1;
  static constexpr std::uint32_t kPsci02 = 2;
  static constexpr std::uint32_t kPmuV3 = 3;
  static constexpr std::uint32_t kSve = 4;
  static constexpr std::uint32_t kPtrauthAddress = 5;
  static constexpr std::uint32_t kPtrauthGeneric = 6;
  static constexpr std::uint32_t kHasEl2 = 7;
  /// @}

  std::uint32_t target = 0;                 ///< from Vm::preferred_target()
  std::array<std::uint32_t, 7> features{};  ///< bit 32 * i + b of the numbers above

  /// Sets a feature's bit. Without effect for a number of 224 or more.
  constexpr void enable(std::uint32_t feature) {
    if (feature < 32 * features.size()) features[feature / 32] |= 1u << (feature % 32);
  }
};

}  // namespace vmm::kvm_ioctls
