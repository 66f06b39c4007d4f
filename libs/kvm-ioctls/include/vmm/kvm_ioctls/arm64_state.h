// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// State and settings of aarch64 VMs and vCPUs in the layout of the kernel's structures, and the
// numbers of its registers and attributes. Available on every host.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/base/guest_address.h"
#include "vmm/kvm_ioctls/one_reg.h"

namespace vmm::kvm_ioctls {

/// struct kvm_vcpu_events of aarch64: exceptions that wait for the guest.
struct Arm64VcpuEvents {
  std::uint8_t serror_pending;    ///< 1: a virtual SError waits; written, one is injected
  std::uint8_t serror_has_esr;    ///< needs Cap::kArmInjectSerrorEsr
  std::uint8_t ext_dabt_pending;  ///< write only; needs Cap::kArmInjectExtDabt
  /// @{
  /// Reserved, but for `serror_esr`: zero.
  std::uint8_t pad[5];
  std::uint64_t serror_esr;  ///< low 25 bits of ESR_ELx (IDS, ISS) if serror_has_esr
  std::uint32_t reserved[12];
  /// @}
};

/// struct kvm_guest_debug of aarch64. The arrays are the values of DBGBCR<n>_EL1 and so on.
struct Arm64GuestDebug {
  /// @{
  /// KVM_GUESTDBG_*. Bits of `control`; all are without effect unless kEnable is set.
  static constexpr std::uint32_t kEnable = 1u << 0;
  static constexpr std::uint32_t kSingleStep = 1u << 1;
  static constexpr std::uint32_t kSoftwareBreakpoints = 1u << 16;
  static constexpr std::uint32_t kHardware = 1u << 17;
  /// @}

  std::uint32_t control = 0;  ///< the bits above; 0 ends debugging
  std::uint32_t pad = 0;      ///< zero
  /// @{
  /// Registers for hardware breakpoints and watchpoints; used with kHardware only.
  std::uint64_t breakpoint_control[16] = {};
  std::uint64_t breakpoint_value[16] = {};
  std::uint64_t watchpoint_control[16] = {};
  std::uint64_t watchpoint_value[16] = {};
  /// @}
};

/// Allocation tags (MTE) between guest memory and `tags`: one byte for each 16 bytes of memory.
struct MteTags {
  GuestAddress address;       ///< page-aligned
  std::span<std::byte> tags;  ///< as many bytes as a 16th of a whole number of pages
  bool to_guest;              ///< true: into guest memory; false: out of it
};

/// Which bits of the identification registers a VMM may write: a mask for each register with
/// op0 = 3, op1 = 0, 1 or 3, crn = 0, crm = 0 to 7.
class RegWritableMasks {
 public:
  /// The mask of a register; 0 for one outside of the range.
  [[nodiscard]] constexpr std::uint64_t operator[](const Arm64SysReg& r) const {
    if (r.op0 != 3 || r.crn != 0 || r.crm > 7 || r.op2 > 7) return 0;
    if (r.op1 != 0 && r.op1 != 1 && r.op1 != 3) return 0;
    const std::size_t op1 = r.op1 == 3 ? 2 : r.op1;
    return words_[op1 << 6 | std::size_t{r.crm} << 3 | r.op2];
  }
  /// All masks, as KVM_ARM_GET_REG_WRITABLE_MASKS fills them in: index op1 (0, 1, 2 for 3) << 6 |
  /// crm << 3 | op2.
  [[nodiscard]] constexpr std::span<std::uint64_t, 192> words() { return words_; }

 private:
  std::array<std::uint64_t, 192> words_{};
};

/// What KVM does with the SMCCC functions [base, base + count) that a guest calls.
struct SmcccFilter {
  /// What the guest's call leads to (enum kvm_smccc_filter_action).
  enum class Action : std::uint8_t {
    kHandle = 0,     ///< KVM's own answer
    kDeny = 1,       ///< NOT_SUPPORTED
    kForwardTo = 2,  ///< exits::Hypercall
  };
  std::uint32_t base;   ///< the first function identifier
  std::uint32_t count;  ///< of identifiers, at least 1
  Action action;        ///< for all of the range
};

/// struct kvm_pmu_event_filter of aarch64: a range of events of PMUv3.
struct Arm64PmuFilter {
  /// @{
  /// Values of `action`. The first filter that is set also decides about all other events: kAllow
  /// denies them, kDeny allows them.
  static constexpr std::uint8_t kAllow = 0;
  static constexpr std::uint8_t kDeny = 1;
  /// @}

  std::uint16_t base_event;  ///< the first event number
  std::uint16_t events;      ///< how many, from base_event on
  std::uint8_t action;       ///< kAllow or kDeny
  std::uint8_t pad[3];       ///< zero
};

/// The program counter (user_pt_regs.pc).
inline constexpr RegId kArm64Pc = arm64_core_reg(256);
/// PSTATE in the layout of SPSR_ELx (user_pt_regs.pstate).
inline constexpr RegId kArm64Pstate = arm64_core_reg(264);
/// X0 to X30.
[[nodiscard]] constexpr RegId arm64_x(unsigned number) { return arm64_core_reg(8ull * number); }

/// Registers that are KVM's own.
[[nodiscard]] constexpr RegId arm64_firmware_reg(std::uint16_t number) {
  return static_cast<RegId>(kRegArchArm64 | kRegSizeU64 | 0x0014'0000 | number);
}
inline constexpr RegId kArm64PsciVersion = arm64_firmware_reg(0);  ///< major << 16 | minor
/// @{
/// The virtual timer's: KVM has had the first two swapped against their encodings since ever.
inline constexpr RegId kArm64TimerCompare =
    arm64_sys_reg({.op0 = 3, .op1 = 3, .crn = 14, .crm = 0, .op2 = 2});
inline constexpr RegId kArm64TimerCount =
    arm64_sys_reg({.op0 = 3, .op1 = 3, .crn = 14, .crm = 3, .op2 = 2});
inline constexpr RegId kArm64TimerControl =
    arm64_sys_reg({.op0 = 3, .op1 = 3, .crn = 14, .crm = 3, .op2 = 1});
/// @}
/// The set of SVE vector lengths, 64 bytes: bit n is a length of 16 * (n + 1) bytes. Written
/// between Vcpu::init() and Vcpu::finalize().
inline constexpr RegId kArm64SveLengths =
    static_cast<RegId>(kRegArchArm64 | 0x0060'0000'0000'0000 | 0x0015'ffff);

/// Attributes of a vCPU (Vcpu::set_attr).
inline constexpr std::uint32_t kArmVcpuPmu = 0;          ///< a group; its attributes:
inline constexpr std::uint64_t kArmVcpuPmuIrq = 0;       ///< int: the PPI
inline constexpr std::uint64_t kArmVcpuPmuInit = 1;      ///< no data; last
inline constexpr std::uint64_t kArmVcpuPmuFilter = 2;    ///< Arm64PmuFilter; before the interrupt
inline constexpr std::uint64_t kArmVcpuPmuSet = 3;       ///< int: which physical PMU
inline constexpr std::uint64_t kArmVcpuPmuCounters = 4;  ///< unsigned: how many (Linux 6.17)
inline constexpr std::uint32_t kArmVcpuTimer = 1;        ///< a group; its attributes are int PPIs:
/// @{
/// Attributes of kArmVcpuTimer: the PPI of one timer, 16 to 31, set before the first vCPU runs.
inline constexpr std::uint64_t kArmVcpuTimerVirtual = 0;
inline constexpr std::uint64_t kArmVcpuTimerPhysical = 1;
inline constexpr std::uint64_t kArmVcpuTimerHypVirtual = 2;   ///< Linux 6.16
inline constexpr std::uint64_t kArmVcpuTimerHypPhysical = 3;  ///< Linux 6.16
/// @}
inline constexpr std::uint32_t kArmVcpuPvTime = 2;         ///< a group; its attribute:
inline constexpr std::uint64_t kArmVcpuPvTimeAddress = 0;  ///< u64: 64 bytes of guest memory

/// Attributes of the GIC's devices (Device::set_attr): groups, and attributes of some.
inline constexpr std::uint32_t kVgicAddress = 0;  ///< u64 guest-physical address by type:
/// @{
/// The types of kVgicAddress; alignment in the kernel's arm-vgic*.rst.
inline constexpr std::uint64_t kVgicV2DistAddress = 0;
inline constexpr std::uint64_t kVgicV2CpuAddress = 1;
inline constexpr std::uint64_t kVgicV3DistAddress = 2;
inline constexpr std::uint64_t kVgicV3RedistAddress = 3;
inline constexpr std::uint64_t kVgicItsAddress = 4;
inline constexpr std::uint64_t kVgicV3RedistRegion = 5;  ///< count << 52 | address | flags | index
/// @}
/// @{
/// Registers (KVM_DEV_ARM_VGIC_GRP_*): the attribute is the offset, with the CPU above.
inline constexpr std::uint32_t kVgicDistRegs = 1;
inline constexpr std::uint32_t kVgicCpuRegs = 2;  ///< GICv2
/// @}
inline constexpr std::uint32_t kVgicNrIrqs = 3;   ///< u32: 64 to 1024, a multiple of 32
inline constexpr std::uint32_t kVgicControl = 4;  ///< no data; its attributes:
/// @{
/// Attributes of kVgicControl: commands without data.
inline constexpr std::uint64_t kVgicInit = 0;
inline constexpr std::uint64_t kVgicItsSaveTables = 1;
inline constexpr std::uint64_t kVgicItsRestoreTables = 2;
inline constexpr std::uint64_t kVgicSavePendingTables = 3;
inline constexpr std::uint64_t kVgicItsReset = 4;
/// @}
/// @{
/// Registers of GICv3 (KVM_DEV_ARM_VGIC_GRP_*), the levels of the lines, and the ITS's registers.
inline constexpr std::uint32_t kVgicRedistRegs = 5;
inline constexpr std::uint32_t kVgicCpuSysRegs = 6;
inline constexpr std::uint32_t kVgicLevelInfo = 7;
inline constexpr std::uint32_t kVgicItsRegs = 8;
/// @}

}  // namespace vmm::kvm_ioctls
