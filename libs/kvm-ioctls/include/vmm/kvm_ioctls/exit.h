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
  std::uint16_t port;
  std::uint8_t item_bytes;  ///< 1, 2 or 4
  std::uint32_t count;
  std::span<std::byte> data;  ///< count * item_bytes
};
/// `out`: `data` holds `count` items of `item_bytes`, all for the same port.
struct IoOut {
  std::uint16_t port;
  std::uint8_t item_bytes;  ///< 1, 2 or 4
  std::uint32_t count;
  std::span<const std::byte> data;  ///< count * item_bytes
};
/// A load from an address without memory: fill `data` (1 to 8 bytes).
struct MmioRead {
  GuestAddress address;
  std::span<std::byte> data;
};
/// A store to an address without memory (1 to 8 bytes).
struct MmioWrite {
  GuestAddress address;
  std::span<const std::byte> data;
};
/// A halted vCPU; only without an in-kernel interrupt controller.
struct Hlt {};
/// A triple fault, or a shutdown of the architecture's kind.
struct Shutdown {};
/// A signal, an immediate exit or the end of an INIT wait (EINTR, EAGAIN): run again when wanted.
struct Interrupted {};
/// The processor refused to enter the guest.
struct FailEntry {
  std::uint64_t hardware_reason;
  std::uint32_t cpu;  ///< the host's, for faults of one core
};
/// KVM cannot go on, for example because it cannot emulate an instruction.
struct InternalError {
  static constexpr std::uint32_t kEmulation = 1;
  static constexpr std::uint32_t kSimultaneousExceptions = 2;
  static constexpr std::uint32_t kDeliveryEvent = 3;
  static constexpr std::uint32_t kUnexpectedExit = 4;

  std::uint32_t suberror;
  std::span<const std::uint64_t> data;  ///< at most 16 words

  /// For kEmulation: the bytes of the instruction, as far as KVM tells; otherwise empty.
  [[nodiscard]] std::span<const std::byte> instruction() const;
};
/// The guest asked the platform for something (PSCI, SBI, SEV), or its hypervisor crashed it.
struct SystemEvent {
  static constexpr std::uint32_t kShutdown = 1;
  static constexpr std::uint32_t kReset = 2;
  static constexpr std::uint32_t kCrash = 3;
  static constexpr std::uint32_t kWakeup = 4;
  static constexpr std::uint32_t kSuspend = 5;
  static constexpr std::uint32_t kSevTerm = 6;
  static constexpr std::uint32_t kTdxFatal = 7;

  std::uint32_t type;
  std::span<const std::uint64_t> data;  ///< at most 16 words
};
/// A level interrupt was acknowledged at a user-space IOAPIC (split irqchip).
struct IoapicEoi {
  std::uint8_t vector;
};
struct Exception {
  std::uint32_t vector;
  std::uint32_t error_code;
};
/// A hypercall that KVM was asked to pass on, with its result.
struct Hypercall {
  std::uint64_t number;
  std::span<const std::uint64_t, 6> arguments;
  std::uint64_t* result;
  bool long_mode;  ///< x86_64
  bool by_smc;     ///< aarch64: the guest used SMC, not HVC (see Vm::set_smccc_filter())
};
/// A breakpoint or single step of KVM_SET_GUEST_DEBUG. On x86_64 all fields count; on aarch64
/// `exception` is ESR's low half and `pc` the fault address; on riscv64 none counts.
struct Debug {
  std::uint32_t exception;
  std::uint64_t pc;
  std::uint64_t dr6;
  std::uint64_t dr7;
};
/// Interrupts can be injected now, as was asked for.
struct IrqWindowOpen {};
/// The guest lowered its task priority (user-space APIC).
struct SetTpr {
  std::uint64_t cr8;
};
struct TprAccess {
  std::uint64_t rip;
  bool is_write;
};
struct Nmi {};
struct Watchdog {};
/// What went wrong with an MSR access that is passed on (one bit each in `reason`).
struct MsrReason {
  static constexpr std::uint32_t kInvalid = 1u << 0;
  static constexpr std::uint32_t kUnknown = 1u << 1;
  static constexpr std::uint32_t kFilter = 1u << 2;
};
/// `rdmsr`: set *data, or *error to 1 for a #GP.
struct Rdmsr {
  std::uint32_t reason;
  std::uint32_t index;
  std::uint64_t* data;
  std::uint8_t* error;
};
/// `wrmsr`: set *error to 1 for a #GP.
struct Wrmsr {
  std::uint32_t reason;
  std::uint32_t index;
  std::uint64_t data;
  std::uint8_t* error;
};
/// An access that the memory attributes or the host forbid: convert the range, or stop.
struct MemoryFault {
  static constexpr std::uint64_t kPrivate = 1u << 3;

  std::uint64_t flags;
  GuestAddress address;
  std::uint64_t bytes;
};
/// No event window for the time that was set (KVM_CAP_X86_NOTIFY_VMEXIT).
struct Notify {
  bool context_invalid;  ///< the guest's state is lost
};
struct BusLock {};
/// Harvest this vCPU's dirty ring and reset it before the next run.
struct DirtyRingFull {};
/// SEV-ES: the vCPU waits for INIT-SIPI.
struct ApResetHold {};
struct HypervSynic {
  std::uint32_t msr;
  std::uint64_t control;
  std::uint64_t event_page;
  std::uint64_t message_page;
};
struct HypervHcall {
  std::uint64_t input;
  std::span<const std::uint64_t, 2> parameters;
  std::uint64_t* result;
};
struct HypervSyndbg {
  std::uint32_t msr;
  std::uint64_t control;
  std::uint64_t* status;
  std::span<const std::uint64_t, 3> pages;  ///< send, receive, pending
};
struct XenHcall {
  bool long_mode;
  std::uint32_t cpl;
  std::uint64_t input;
  std::span<const std::uint64_t, 6> parameters;
  std::uint64_t* result;
};
/// aarch64: an MMIO access that carries no syndrome for emulation.
struct ArmNisv {
  std::uint64_t esr_iss;
  GuestAddress fault_address;
};
/// aarch64: a synchronous external abort.
struct ArmSea {
  static constexpr std::uint64_t kAddressValid = 1u << 0;

  std::uint64_t flags;
  std::uint64_t esr;
  std::uint64_t virtual_address;
  GuestAddress address;
};
/// riscv64: an SBI call for user space; the two results are (error, value).
struct RiscvSbi {
  std::uint64_t extension;
  std::uint64_t function;
  std::span<const std::uint64_t, 6> arguments;
  std::span<std::uint64_t, 2> results;
};
struct RiscvCsr {
  std::uint64_t csr;
  std::uint64_t new_value;
  std::uint64_t write_mask;
  std::uint64_t* result;
};
/// TDX: a TDVMCALL for user space; the meaning of `words` depends on the number.
struct Tdx {
  static constexpr std::uint64_t kGetQuote = 0x10002;
  static constexpr std::uint64_t kGetTdVmCallInfo = 0x10000;
  static constexpr std::uint64_t kSetupEventNotify = 0x10004;

  std::uint64_t flags;
  std::uint64_t number;
  std::uint64_t* result;
  std::span<std::uint64_t, 5> words;  ///< what follows the result
};
/// A reason of which there is no decoding here, for example one of a newer kernel.
struct Unknown {
  std::uint32_t reason;
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
