// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Why KVM_RUN came back. Reference: the kernel's Documentation/virt/kvm/api.rst, "The kvm_run
// structure".

#include <cstddef>
#include <cstdint>
#include <span>
#include <variant>

#include "vmm/base/guest_address.h"

namespace vmm::kvm_ioctls {

/// The exits of a vCPU, one type a reason.
///
/// Spans and pointers lead into the vCPU's run page: they are valid until the next call of a
/// non-const function of that Vcpu. What a pointer or a mutable span leads to is the answer that
/// the guest gets when the vCPU runs again.
namespace exits {

/// `in`: fill `data`, which holds `count` items of `item_bytes` (more than one for string I/O).
struct IoIn {
  std::uint16_t port;         ///< every item goes through this one
  std::uint8_t item_bytes;    ///< 1, 2 or 4
  std::uint32_t count;        ///< items; 1 but for `rep ins`
  std::span<std::byte> data;  ///< count * item_bytes
};
/// `out`: `data` holds `count` items of `item_bytes`, all for the same port.
struct IoOut {
  std::uint16_t port;               ///< every item goes through this one
  std::uint8_t item_bytes;          ///< 1, 2 or 4
  std::uint32_t count;              ///< items; 1 but for `rep outs`
  std::span<const std::byte> data;  ///< count * item_bytes
};
/// A load from an address without memory: fill `data` (1 to 8 bytes).
struct MmioRead {
  GuestAddress address;       ///< guest-physical
  std::span<std::byte> data;  ///< 1 to 8 bytes, to be filled in
};
/// A store to an address without memory (1 to 8 bytes).
struct MmioWrite {
  GuestAddress address;             ///< guest-physical
  std::span<const std::byte> data;  ///< 1 to 8 bytes
};
/// A halted vCPU; only without an in-kernel interrupt controller.
struct Hlt {};
/// A triple fault, or a shutdown of the architecture's kind.
struct Shutdown {};
/// A signal, an immediate exit or the end of an INIT wait (EINTR, EAGAIN): run again when wanted.
struct Interrupted {};
/// The processor refused to enter the guest.
struct FailEntry {
  std::uint64_t hardware_reason;  ///< the processor's: a VMX exit reason or SVM exit code
  std::uint32_t cpu;              ///< the host's, for faults of one core
};
/// KVM cannot go on, for example because it cannot emulate an instruction.
struct InternalError {
  /// @{
  /// KVM_INTERNAL_ERROR_*. Values of `suberror`: an instruction that KVM cannot emulate; two
  /// exceptions at once; an exit while an event was delivered; an exit that KVM does not know.
  static constexpr std::uint32_t kEmulation = 1;
  static constexpr std::uint32_t kSimultaneousExceptions = 2;
  static constexpr std::uint32_t kDeliveryEvent = 3;
  static constexpr std::uint32_t kUnexpectedExit = 4;
  /// @}

  std::uint32_t suberror;               ///< one of the above; others are possible
  std::span<const std::uint64_t> data;  ///< at most 16 words

  /// For kEmulation: the bytes of the instruction, as far as KVM tells; otherwise empty.
  [[nodiscard]] std::span<const std::byte> instruction() const;
};
/// The guest asked the platform for something (PSCI, SBI, SEV), or its hypervisor crashed it.
struct SystemEvent {
  /// @{
  /// KVM_SYSTEM_EVENT_*. Values of `type`. kWakeup and kSuspend need Cap::kArmSystemSuspend, or
  /// SBI's suspend on riscv64.
  static constexpr std::uint32_t kShutdown = 1;
  static constexpr std::uint32_t kReset = 2;
  static constexpr std::uint32_t kCrash = 3;
  static constexpr std::uint32_t kWakeup = 4;
  static constexpr std::uint32_t kSuspend = 5;
  static constexpr std::uint32_t kSevTerm = 6;
  static constexpr std::uint32_t kTdxFatal = 7;
  /// @}

  std::uint32_t type;                   ///< one of the above; others are possible
  std::span<const std::uint64_t> data;  ///< at most 16 words
};
/// A level interrupt was acknowledged at a user-space IOAPIC (split irqchip).
struct IoapicEoi {
  std::uint8_t vector;  ///< 0 to 255
};
/// KVM_EXIT_EXCEPTION: an exception of the guest that KVM intercepts and does not handle.
struct Exception {
  std::uint32_t vector;      ///< 0 to 31
  std::uint32_t error_code;  ///< 0 for vectors without one
};
/// A hypercall that KVM was asked to pass on, with its result.
struct Hypercall {
  std::uint64_t number;                         ///< KVM_HC_*, or the SMCCC function identifier
  std::span<const std::uint64_t, 6> arguments;  ///< x86_64: RBX, RCX, RDX, RSI; the rest 0
  std::uint64_t* result;                        ///< x86_64: what RAX gets
  bool long_mode;                               ///< x86_64
  bool by_smc;  ///< aarch64: the guest used SMC, not HVC (see Vm::set_smccc_filter())
};
/// A breakpoint or single step of KVM_SET_GUEST_DEBUG. On x86_64 all fields count; on aarch64
/// `exception` is ESR's low half and `pc` the fault address; on riscv64 none counts.
struct Debug {
  std::uint32_t exception;  ///< x86_64: 1 (`#DB`) or 3 (`#BP`)
  std::uint64_t pc;         ///< linear address of the instruction
  /// @{
  /// x86_64: the debug registers at a `#DB`.
  std::uint64_t dr6;
  std::uint64_t dr7;
  /// @}
};
/// Interrupts can be injected now, as was asked for.
struct IrqWindowOpen {};
/// The guest lowered its task priority (user-space APIC).
struct SetTpr {
  std::uint64_t cr8;  ///< the new priority, 0 to 15
};
/// KVM_EXIT_TPR_ACCESS: the guest accessed its task priority register, and reporting was turned on
/// (KVM_TPR_ACCESS_REPORTING).
struct TprAccess {
  std::uint64_t rip;  ///< of the instruction
  bool is_write;      ///< false: a read
};
/// KVM_EXIT_NMI. Carries nothing.
struct Nmi {};
/// KVM_EXIT_WATCHDOG: a watchdog of the vCPU ran out, where the architecture has one.
struct Watchdog {};
/// What went wrong with an MSR access that is passed on (one bit each in `reason`).
struct MsrReason {
  /// @{
  /// KVM_MSR_EXIT_REASON_*. The access would fault in KVM; the MSR is one that KVM does not know;
  /// the filter forbids it.
  static constexpr std::uint32_t kInvalid = 1u << 0;
  static constexpr std::uint32_t kUnknown = 1u << 1;
  static constexpr std::uint32_t kFilter = 1u << 2;
  /// @}
};
/// `rdmsr`: set *data, or *error to 1 for a `#GP`.
struct Rdmsr {
  /// @{
  /// MsrReason, and the number of the MSR (ECX).
  std::uint32_t reason;
  std::uint32_t index;
  /// @}
  std::uint64_t* data;  ///< what RDX:RAX gets
  std::uint8_t* error;  ///< 0 unless set
};
/// `wrmsr`: set *error to 1 for a `#GP`.
struct Wrmsr {
  /// @{
  /// MsrReason, and the number of the MSR (ECX).
  std::uint32_t reason;
  std::uint32_t index;
  /// @}
  std::uint64_t data;   ///< RDX:RAX
  std::uint8_t* error;  ///< 0 unless set
};
/// An access that the memory attributes or the host forbid: convert the range, or stop.
struct MemoryFault {
  /// Of `flags`: the guest took it for private memory.
  static constexpr std::uint64_t kPrivate = 1u << 3;

  std::uint64_t flags;  ///< 0: a shared access
  /// @{
  /// The guest-physical range that could not be accessed.
  GuestAddress address;
  std::uint64_t bytes;
  /// @}
};
/// No event window for the time that was set (KVM_CAP_X86_NOTIFY_VMEXIT).
struct Notify {
  bool context_invalid;  ///< the guest's state is lost
};
/// The guest took a bus lock (Cap::kX86BusLockExit in the mode that exits).
struct BusLock {};
/// Harvest this vCPU's dirty ring and reset it before the next run.
struct DirtyRingFull {};
/// SEV-ES: the vCPU waits for INIT-SIPI.
struct ApResetHold {};
/// KVM_EXIT_HYPERV_SYNIC: the guest wrote an MSR of Hyper-V's interrupt controller. Nothing to
/// answer.
struct HypervSynic {
  std::uint32_t msr;  ///< the one written
  /// @{
  std::uint64_t control;  ///< The values of HV_X64_MSR_SCONTROL, SIEFP and SIMP after the write.
  std::uint64_t event_page;
  std::uint64_t message_page;
  /// @}
};
/// KVM_EXIT_HYPERV_HCALL: a hypercall of Hyper-V (TLFS, "Hypercall Interface") for user space.
struct HypervHcall {
  std::uint64_t input;                           ///< the hypercall input value
  std::span<const std::uint64_t, 2> parameters;  ///< guest-physical addresses of input and output
  std::uint64_t* result;                         ///< the hypercall result value
};
/// KVM_EXIT_HYPERV_SYNDBG: an access to Hyper-V's synthetic debugger.
struct HypervSyndbg {
  std::uint32_t msr;                        ///< HV_X64_MSR_SYNDBG_CONTROL or _PENDING_BUFFER
  std::uint64_t control;                    ///< what the guest wrote to the control MSR
  std::uint64_t* status;                    ///< what the guest reads as the status
  std::span<const std::uint64_t, 3> pages;  ///< send, receive, pending
};
/// KVM_EXIT_XEN_HCALL: a hypercall of Xen's; needs XenConfig with interception.
struct XenHcall {
  bool long_mode;       ///< the vCPU is in 64-bit mode
  std::uint32_t cpl;    ///< 0 to 3, that the call came from
  std::uint64_t input;  ///< the hypercall's number
  /// The rest is 0 for 32-bit guests, which have five.
  std::span<const std::uint64_t, 6> parameters;
  std::uint64_t* result;  ///< what RAX gets
};
/// aarch64: an MMIO access that carries no syndrome for emulation.
struct ArmNisv {
  std::uint64_t esr_iss;       ///< bits 24:0 of ESR_EL2
  GuestAddress fault_address;  ///< guest-physical
};
/// aarch64: a synchronous external abort.
struct ArmSea {
  static constexpr std::uint64_t kAddressValid = 1u << 0;  ///< of `flags`: `address` counts

  std::uint64_t flags;            ///< kAddressValid
  std::uint64_t esr;              ///< ESR_EL2, as far as it concerns the guest
  std::uint64_t virtual_address;  ///< FAR_EL2, unless ESR says that it is not valid
  GuestAddress address;           ///< guest-physical
};
/// riscv64: an SBI call for user space; the two results are (error, value).
struct RiscvSbi {
  /// @{
  /// The extension (EID, register a7) and function (FID, a6) of the SBI specification.
  std::uint64_t extension;
  std::uint64_t function;
  /// @}
  std::span<const std::uint64_t, 6> arguments;  ///< a0 to a5
  std::span<std::uint64_t, 2> results;          ///< what a0 and a1 get
};
/// KVM_EXIT_RISCV_CSR: an access to a CSR that KVM does not emulate.
struct RiscvCsr {
  std::uint64_t csr;  ///< the CSR's number, 12 bits
  /// @{
  /// What the guest writes, and which bits of it: 0 for a read.
  std::uint64_t new_value;
  std::uint64_t write_mask;
  /// @}
  std::uint64_t* result;  ///< the old value, that the guest gets
};
/// TDX: a TDVMCALL for user space; the meaning of `words` depends on the number.
struct Tdx {
  /// @{
  /// TDG.VP.VMCALL (GHCI). Values of `number`.
  static constexpr std::uint64_t kGetQuote = 0x10002;
  static constexpr std::uint64_t kGetTdVmCallInfo = 0x10000;
  static constexpr std::uint64_t kSetupEventNotify = 0x10004;
  /// @}

  std::uint64_t flags;                ///< none is defined
  std::uint64_t number;               ///< the TDVMCALL's leaf (R11)
  std::uint64_t* result;              ///< the completion status that the guest gets (R10)
  std::span<std::uint64_t, 5> words;  ///< what follows the result
};
/// A reason of which there is no decoding here, for example one of a newer kernel.
struct Unknown {
  std::uint32_t reason;           ///< KVM_EXIT_*
  std::uint64_t hardware_reason;  ///< the first word of the exit's data
};

}  // namespace exits

/// One exit. 48 bytes, trivially copyable; see exits for what the borrowed parts live on.
using VcpuExit =
    std::variant<exits::IoOut, exits::IoIn, exits::MmioWrite, exits::MmioRead, exits::Hlt,
                 exits::Interrupted, exits::Shutdown, exits::SystemEvent, exits::InternalError,
                 exits::FailEntry, exits::IoapicEoi, exits::Rdmsr, exits::Wrmsr, exits::MemoryFault,
                 exits::Hypercall, exits::Debug, exits::DirtyRingFull, exits::IrqWindowOpen,
                 exits::SetTpr, exits::TprAccess, exits::Nmi, exits::Watchdog, exits::Exception,
                 exits::Notify, exits::BusLock, exits::ApResetHold, exits::HypervSynic,
                 exits::HypervHcall, exits::HypervSyndbg, exits::XenHcall, exits::ArmNisv,
                 exits::ArmSea, exits::RiscvSbi, exits::RiscvCsr, exits::Tdx, exits::Unknown>;

/// A short name of the exit for people, for example "MMIO write". Static storage.
[[nodiscard]] const char* name_of(const VcpuExit& exit);

}  // namespace vmm::kvm_ioctls
