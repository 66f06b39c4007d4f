// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The state of an x86_64 vCPU in the layout of the kernel's structures (asm/kvm.h), so that it is
// passed without a copy. The field names are the kernel's. Available on every host.

#include <array>
#include <cstddef>
#include <cstdint>

#include "vmm/kvm_ioctls/entry_list.h"

namespace vmm::kvm_ioctls {

/// struct kvm_regs.
struct Regs {
  /// @{
  /// General registers, instruction pointer and flags (Intel SDM 1, 3.4).
  std::uint64_t rax, rbx, rcx, rdx;
  std::uint64_t rsi, rdi, rsp, rbp;
  std::uint64_t r8, r9, r10, r11;
  std::uint64_t r12, r13, r14, r15;
  std::uint64_t rip, rflags;
  /// @}
};

/// struct kvm_segment.
struct Segment {
  /// @{
  /// A segment register with its hidden part, as in its descriptor (Intel SDM 3, 3.4.5), but
  /// `limit` is in bytes, whatever `g` says; `unusable` is that of VMX's access rights.
  std::uint64_t base;
  std::uint32_t limit;
  std::uint16_t selector;
  std::uint8_t type;
  std::uint8_t present, dpl, db, s, l, g, avl;
  std::uint8_t unusable;
  std::uint8_t padding;
  /// @}
};

/// struct kvm_dtable.
struct DescriptorTable {
  std::uint64_t base;        ///< linear address
  std::uint16_t limit;       ///< bytes less one
  std::uint16_t padding[3];  ///< zero
};

/// struct kvm_sregs.
struct Sregs {
  /// @{
  /// KVM_GET_SREGS. Segment, table and control registers, EFER and IA32_APIC_BASE. `cr8` is the
  /// task priority; of `interrupt_bitmap` at most one bit is set, the external interrupt that
  /// waits.
  Segment cs, ds, es, fs, gs, ss;
  Segment tr, ldt;
  DescriptorTable gdt, idt;
  std::uint64_t cr0, cr2, cr3, cr4, cr8;
  std::uint64_t efer;
  std::uint64_t apic_base;
  std::uint64_t interrupt_bitmap[4];
  /// @}
};

/// struct kvm_sregs2: with the PDPTRs instead of the pending interrupts.
struct Sregs2 {
  static constexpr std::uint64_t kPdptrsValid = 1;  ///< of `flags`: `pdptrs` counts

  /// @{
  /// As in Sregs, with the four PDPTEs of PAE paging.
  Segment cs, ds, es, fs, gs, ss;
  Segment tr, ldt;
  DescriptorTable gdt, idt;
  std::uint64_t cr0, cr2, cr3, cr4, cr8;
  std::uint64_t efer;
  std::uint64_t apic_base;
  std::uint64_t flags;
  std::uint64_t pdptrs[4];
  /// @}
};

/// struct kvm_fpu.
struct Fpu {
  /// @{
  /// KVM_GET_FPU. The FXSAVE area (Intel SDM 1, 10.5.1), unpacked: x87 registers in 16 bytes each,
  /// `last_ip` and `last_dp` as 64-bit addresses.
  std::uint8_t fpr[8][16];
  std::uint16_t fcw;
  std::uint16_t fsw;
  std::uint8_t ftwx;  ///< in the fxsave format
  std::uint8_t pad1;
  std::uint16_t last_opcode;
  std::uint64_t last_ip;
  std::uint64_t last_dp;
  std::uint8_t xmm[16][16];
  std::uint32_t mxcsr;
  std::uint32_t pad2;
  /// @}
};

/// struct kvm_lapic_state: the APIC's register page, little-endian, 16 bytes a register.
struct Lapic {
  /// @{
  /// Offsets in the page (Intel SDM 3, local APIC register address map).
  static constexpr std::size_t kIcrLow = 0x300;
  static constexpr std::size_t kLvtLint0 = 0x350;
  static constexpr std::size_t kLvtLint1 = 0x360;
  /// @}

  std::uint8_t regs[0x400];  ///< little-endian 32-bit words, one each 16 bytes

  /// The register at byte `offset`; 0 when it lies outside of the page.
  [[nodiscard]] std::uint32_t get(std::size_t offset) const;
  /// False when `offset` lies outside of the page.
  [[nodiscard]] bool set(std::size_t offset, std::uint32_t value);
};

/// struct kvm_msr_entry.
struct MsrEntry {
  std::uint32_t index;     ///< the MSR's number (ECX)
  std::uint32_t reserved;  ///< zero
  std::uint64_t data;      ///< its value (EDX:EAX)
};

/// struct kvm_cpuid_entry2.
struct CpuidEntry {
  static constexpr std::uint32_t kSignificantIndex = 1;  ///< `index` is part of the key

  /// @{
  /// The leaf (EAX), and the subleaf (ECX) when kSignificantIndex is set.
  std::uint32_t function;
  std::uint32_t index;
  /// @}
  std::uint32_t flags;  ///< KVM_CPUID_FLAG_*
  /// @{
  std::uint32_t eax, ebx, ecx, edx;  ///< what the guest reads
  /// @}
  std::uint32_t padding[3];  ///< zero
};

/// CPUID's leaves in the layout of struct kvm_cpuid2.
using CpuidList = EntryList<CpuidEntry, 256>;
/// MSRs in the layout of struct kvm_msrs.
using MsrList = EntryList<MsrEntry, 256>;

/// struct kvm_vcpu_events; `flags` says which optional fields count. The fields of the inner
/// structures are described in api.rst, KVM_GET_VCPU_EVENTS.
struct VcpuEvents {
  /// @{
  /// KVM_VCPUEVENT_VALID_*. Bits of `flags`.
  static constexpr std::uint32_t kNmiPendingValid = 1u << 0;
  static constexpr std::uint32_t kSipiVectorValid = 1u << 1;
  static constexpr std::uint32_t kShadowValid = 1u << 2;
  static constexpr std::uint32_t kSmmValid = 1u << 3;
  static constexpr std::uint32_t kPayloadValid = 1u << 4;
  static constexpr std::uint32_t kTripleFaultValid = 1u << 5;
  /// @}

  struct {
    /// \cond
    std::uint8_t injected, nr, has_error_code, pending;
    std::uint32_t error_code;
    /// \endcond
  } exception;  ///< being delivered, or not yet
  struct {
    /// \cond
    std::uint8_t injected, nr, soft, shadow;
    /// \endcond
  } interrupt;  ///< being delivered, and what blocks interrupts
  struct {
    /// \cond
    std::uint8_t injected, pending, masked, pad;
    /// \endcond
  } nmi;                      ///< pending counts with kNmiPendingValid
  std::uint32_t sipi_vector;  ///< of a start-up IPI; counts with kSipiVectorValid
  std::uint32_t flags;        ///< kNmiPendingValid and the other bits
  struct {
    /// \cond
    std::uint8_t smm, pending, smm_inside_nmi, latched_init;
    /// \endcond
  } smi;  ///< counts with kSmmValid
  /// @{
  std::uint8_t triple_fault_pending;  ///< these count with kTripleFaultValid and kPayloadValid
  std::uint8_t reserved[26];
  std::uint8_t exception_has_payload;
  std::uint64_t exception_payload;
  /// @}
};

/// struct kvm_debugregs.
struct DebugRegs {
  /// @{
  std::uint64_t db[4];  ///< DR0 to DR3, then DR6 and DR7; the rest is zero
  std::uint64_t dr6;
  std::uint64_t dr7;
  std::uint64_t flags;
  std::uint64_t reserved[9];
  /// @}
};

/// struct kvm_xcrs.
struct Xcrs {
  /// An extended control register; there is XCR0 only.
  struct Xcr {
    std::uint32_t xcr;       ///< 0: XCR0
    std::uint32_t reserved;  ///< zero
    std::uint64_t value;     ///< the components that XSAVE saves
  };
  /// @{
  std::uint32_t nr_xcrs;  ///< how many entries of `xcrs` count; `flags` and the padding are zero
  std::uint32_t flags;
  Xcr xcrs[16];
  std::uint64_t padding[16];
  /// @}
};

/// struct kvm_xsave: the legacy 4096 bytes; see Vcpu::get_xsave2() for larger states.
struct Xsave {
  std::uint32_t region[1024];  ///< the XSAVE area (Intel SDM 1, 13.4)
};

/// struct kvm_nested_state with room for either vendor's payload (two VMCS pages, or a VMCB).
struct alignas(8) NestedState {
  static constexpr std::uint32_t kHeaderBytes = 128;  ///< of the fields in front of `payload`

  std::uint16_t flags;   ///< KVM_STATE_NESTED_*
  std::uint16_t format;  ///< 0 VMX, 1 SVM
  std::uint32_t size;    ///< bytes in use, header included
  /// Union `hdr`: struct kvm_vmx_nested_state_hdr or kvm_svm_nested_state_hdr.
  std::uint8_t header[120];
  std::uint8_t payload[8192];  ///< union `data`; `size` - kHeaderBytes bytes count

  /// Whether it is what a vCPU has that never used virtualization itself, so that there is nothing
  /// to carry over: no VMXON, also none that waits for the end of system management; or SVM with
  /// its interrupt flag (GIF) set and no guest.
  [[nodiscard]] bool is_initial() const;
};

/// struct kvm_sync_regs: what crosses with the run page instead of by ioctls.
struct SyncState {
  /// @{
  /// Valid after an exit for the groups of Vcpu::request_sync(), loaded for those of
  /// Vcpu::mark_sync_dirty().
  Regs regs;
  Sregs sregs;
  VcpuEvents events;
  /// @}
};

/// struct kvm_translation.
struct Translation {
  std::uint64_t linear_address;    ///< what was asked for
  std::uint64_t physical_address;  ///< guest-physical
  std::uint8_t valid;              ///< 0: no translation
  std::uint8_t writeable;          ///< always 1: nothing is checked
  std::uint8_t usermode;           ///< always 0: nothing is checked
  std::uint8_t pad[5];             ///< zero
};

/// struct kvm_x86_mce: a machine check to inject.
struct MachineCheck {
  /// @{
  /// What the registers get: MCi_STATUS, MCi_ADDR, MCi_MISC, and MCG_STATUS; and which bank.
  std::uint64_t status;
  std::uint64_t addr;
  std::uint64_t misc;
  std::uint64_t mcg_status;
  std::uint8_t bank;
  /// @}
  /// @{
  std::uint8_t pad1[7];  ///< Zero.
  std::uint64_t pad2[3];
  /// @}
};

/// struct kvm_guest_debug.
struct GuestDebug {
  /// @{
  /// KVM_GUESTDBG_*. Bits of `control`; all are without effect unless kEnable is set.
  static constexpr std::uint32_t kEnable = 1u << 0;
  static constexpr std::uint32_t kSingleStep = 1u << 1;
  static constexpr std::uint32_t kSoftwareBreakpoints = 1u << 16;
  static constexpr std::uint32_t kHardwareBreakpoints = 1u << 17;
  static constexpr std::uint32_t kInjectDb = 1u << 18;
  static constexpr std::uint32_t kInjectBp = 1u << 19;
  static constexpr std::uint32_t kBlockIrq = 1u << 20;
  /// @}

  std::uint32_t control;      ///< the bits above; 0 ends debugging
  std::uint32_t pad;          ///< zero
  std::uint64_t debugreg[8];  ///< DR0 to DR7, for kHardwareBreakpoints: 4 and 5 are unused
};

}  // namespace vmm::kvm_ioctls
