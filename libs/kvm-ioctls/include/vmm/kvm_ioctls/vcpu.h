// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/kvm_ioctls/arm64_state.h"
#include "vmm/kvm_ioctls/cap.h"
#include "vmm/kvm_ioctls/coalesced_ring.h"
#include "vmm/kvm_ioctls/device.h"
#include "vmm/kvm_ioctls/dirty_ring.h"
#include "vmm/kvm_ioctls/exit.h"
#include "vmm/kvm_ioctls/one_reg.h"
#include "vmm/kvm_ioctls/stats.h"
#include "vmm/kvm_ioctls/vm_state.h"
#include "vmm/kvm_ioctls/x86_state.h"
#include "vmm/sys_util/mapping.h"

namespace vmm::kvm_ioctls {

/// Multiprocessing states (struct kvm_mp_state).
enum class MpState : std::uint32_t {
  kRunnable = 0,
  kUninitialized = 1,
  kInitReceived = 2,
  kHalted = 3,
  kSipiReceived = 4,
  kStopped = 5,
  kCheckStop = 6,
  kOperating = 7,
  kLoad = 8,
  kApResetHold = 9,
  kSuspended = 10,
};

/// Takes a vCPU out of KVM_RUN from another thread or from a signal handler. Copyable; each copy
/// keeps the vCPU's run page mapped.
class VcpuKick {
 public:
  /// The next run, or one that a signal interrupts, comes back at once with exits::Interrupted.
  /// Async-signal-safe, from any thread.
  void request() const noexcept;
  /// Takes the request back: on the vCPU's thread, before it runs again.
  void clear() const noexcept;
  /// Whether a request is there. From any thread.
  [[nodiscard]] bool requested() const noexcept;
  /// request(), then `signal` (with a handler that does nothing) to the vCPU's thread, so that a
  /// run in progress ends, too. `thread_id` is gettid() of that thread. Errors: ESRCH when it is
  /// gone.
  Result<void> kick(int thread_id, int signal) const;

 private:
  friend class Vcpu;
  explicit VcpuKick(std::shared_ptr<sys_util::Mapping> run) : run_(std::move(run)) {}

  std::shared_ptr<sys_util::Mapping> run_;
};

/// A virtual processor.
///
/// Errors of every function: the errno of the ioctl, with its name (EBADF on a descriptor that is
/// none), unless more is said. Thread-safety: all functions from the one thread that runs it;
/// other threads use a VcpuKick.
class Vcpu {
 public:
  /// What makes a vCPU: see adopt().
  struct Parts {
    UniqueFd fd;                     ///< of the vCPU, owned
    sys_util::Mapping run;           ///< of the run page and what follows it, shared
    std::size_t xsave_bytes = 4096;  ///< Vm::xsave_bytes()
  };
  /// Takes over the parts of a vCPU that was made elsewhere.
  /// Errors: EINVAL when the mapping is smaller than a run page, or for less than 4096 bytes of
  /// extended state.
  static Result<Vcpu> adopt(Parts parts);

  /// Enters the guest until it needs something.
  ///
  /// EINTR and EAGAIN are exits::Interrupted. EFAULT and EHWPOISON are exits::MemoryFault when KVM
  /// says so; after any other error the run page is stale and is not looked at.
  /// Errors: KvmError::kMalformedExit for data outside of the run page.
  [[nodiscard]] Result<VcpuExit> run();

  /// Lets KVM finish the instruction whose exit was answered last, without entering the guest:
  /// needed before the state is read for a snapshot. nullopt: done. An exit: it is one more part
  /// of the same instruction; answer it and call again.
  [[nodiscard]] Result<std::optional<VcpuExit>> complete_pending_io();

  /// How other threads take this vCPU out of run().
  [[nodiscard]] VcpuKick kick_handle() const { return VcpuKick(run_); }
  /// The next run only finishes what is pending and comes back (EINTR).
  void set_immediate_exit(bool on) noexcept;

  /// KVM_ENABLE_CAP on this vCPU. Errors: EINVAL for a capability that cannot be enabled here.
  Result<void> enable_cap(const EnableCap& cap) const;
  /// @{
  /// KVM_GET_MP_STATE, KVM_SET_MP_STATE. On x86_64 of use with an in-kernel local APIC only.
  /// Errors: EINVAL for a state that the architecture does not have.
  [[nodiscard]] Result<MpState> mp_state() const;
  Result<void> set_mp_state(MpState state) const;
  /// @}
  /// Signals blocked while in KVM_RUN: bit n - 1 is signal n. nullopt: the thread's own mask.
  Result<void> set_signal_mask(std::optional<std::uint64_t> blocked) const;
  /// Opens the vCPU's statistics. Needs Cap::kBinaryStatsFd.
  [[nodiscard]] Result<StatsFd> stats() const;
  /// Errors: EOPNOTSUPP when KVM has no such ring.
  [[nodiscard]] Result<CoalescedRing> map_coalesced_ring() const;
  /// `entries` as given to Vm::enable_dirty_ring(). Errors: EINVAL unless a power of two.
  [[nodiscard]] Result<DirtyRing> map_dirty_ring(std::uint32_t entries) const;
  /// Whole pages of guest memory, for pre_fault().
  struct GuestRange {
    /// @{
    /// Multiples of 4096.
    GuestAddress address;
    std::uint64_t bytes;
    /// @}
  };
  /// Populates the guest's page tables (KVM_PRE_FAULT_MEMORY, Linux 6.11). Answers the bytes left
  /// over. Errors: EINVAL for a misaligned, empty or wrapping range; ENOENT outside of all slots;
  /// EINTR and EAGAIN before the first page.
  [[nodiscard]] Result<std::uint64_t> pre_fault(const GuestRange& range) const;
  /// KVM_MEMORY_ENCRYPT_OP on a vCPU (TDX), read and written in place.
  Result<void> memory_encrypt_op(void* command) const;
  /// @{
  /// As Device's functions of the same names, on this vCPU.
  Result<void> set_attr(const DeviceAttr& a) const { return detail::set_attr(fd_.get(), a); }
  Result<void> get_attr(const DeviceAttr& a) const { return detail::get_attr(fd_.get(), a); }
  [[nodiscard]] bool has_attr(const DeviceAttr& a) const { return detail::has_attr(fd_.get(), a); }
  /// @}

  /// Reads a register into the front of `value`, zeroes the rest and answers the register's size.
  /// Errors: EINVAL (found here) when `value` is smaller than the register.
  Result<std::size_t> get_one_reg(RegId id, std::span<std::byte> value) const;
  /// Errors: EINVAL (found here) when `value` is smaller than the register.
  Result<void> set_one_reg(RegId id, std::span<const std::byte> value) const;
  /// The same for registers of at most 8 bytes. Errors: EINVAL (found here) for larger ones.
  [[nodiscard]] Result<std::uint64_t> get_reg(RegId id) const;
  /// Errors: EINVAL (found here) for registers larger than 8 bytes.
  Result<void> set_reg(RegId id, std::uint64_t value) const;
  /// All registers of KVM_GET_ONE_REG. Errors: ENOEXEC on aarch64 before init().
  [[nodiscard]] Result<std::vector<RegId>> reg_list() const;
  /// How reg_list() went.
  struct RegCount {
    std::size_t written;  ///< into the span
    std::size_t needed;   ///< above `written` when the span is too small
  };
  /// The same into the caller's memory. Fewer than all when `ids` is too small, which is no error.
  [[nodiscard]] Result<RegCount> reg_list(std::span<RegId> ids) const;

#if defined(__x86_64__)
  /// @{
  /// KVM_GET_REGS, KVM_SET_REGS, KVM_GET_SREGS and KVM_SET_SREGS.
  [[nodiscard]] Result<Regs> get_regs() const;
  Result<void> set_regs(const Regs& regs) const;
  [[nodiscard]] Result<Sregs> get_sregs() const;
  Result<void> set_sregs(const Sregs& sregs) const;
  /// @}
  /// Needs Cap::kSregs2.
  [[nodiscard]] Result<Sregs2> get_sregs2() const;
  /// Needs Cap::kSregs2.
  Result<void> set_sregs2(const Sregs2& sregs) const;
  /// @{
  /// KVM_GET_FPU, KVM_SET_FPU. The legacy part of the state alone: see get_xsave().
  [[nodiscard]] Result<Fpu> get_fpu() const;
  Result<void> set_fpu(const Fpu& fpu) const;
  /// @}
  /// KVM_SET_CPUID2. Errors: EINVAL when the vCPU has run and the list differs.
  Result<void> set_cpuid2(const CpuidList& cpuid) const;
  /// Errors: ENOMEM above the list's capacity (found here); E2BIG when the vCPU has more.
  [[nodiscard]] Result<CpuidList> get_cpuid2(std::size_t max_entries = 256) const;
  /// Fills in the data of the listed MSRs; answers how many, from the front.
  [[nodiscard]] Result<std::size_t> get_msrs(MsrList& msrs) const;
  /// Answers how many were set, from the front: fewer than listed when KVM refused the next.
  [[nodiscard]] Result<std::size_t> set_msrs(const MsrList& msrs) const;
  /// Errors: EINVAL without an in-kernel local APIC.
  [[nodiscard]] Result<Lapic> get_lapic() const;
  /// KVM_SET_LAPIC. Errors: EINVAL without an in-kernel local APIC.
  Result<void> set_lapic(const Lapic& lapic) const;
  /// @{
  /// KVM_GET_VCPU_EVENTS, KVM_GET_DEBUGREGS, KVM_GET_XCRS. Setting fails with EINVAL for values
  /// that the processor would refuse, or flags that KVM does not know.
  [[nodiscard]] Result<VcpuEvents> get_vcpu_events() const;
  Result<void> set_vcpu_events(const VcpuEvents& events) const;
  [[nodiscard]] Result<DebugRegs> get_debug_regs() const;
  Result<void> set_debug_regs(const DebugRegs& regs) const;
  [[nodiscard]] Result<Xcrs> get_xcrs() const;
  Result<void> set_xcrs(const Xcrs& xcrs) const;
  /// @}
  /// The first 4096 bytes. Errors: EINVAL when the vCPU's state is larger (dynamic features).
  [[nodiscard]] Result<Xsave> get_xsave() const;
  /// The whole state: Vm::xsave_bytes(), at least 4096. Needs Cap::kXsave2.
  [[nodiscard]] Result<std::vector<std::byte>> get_xsave2() const;
  /// Errors: EINVAL (found here) when there are fewer bytes than KVM would read.
  Result<void> set_xsave(std::span<const std::byte> state) const;
  /// nullopt when the vCPU has no nested state: NestedState::is_initial().
  [[nodiscard]] Result<std::optional<NestedState>> get_nested_state() const;
  /// Errors: EINVAL (found here) when `size` contradicts the structure.
  Result<void> set_nested_state(const NestedState& state) const;
  /// @{
  /// KVM_GET_TSC_KHZ, KVM_SET_TSC_KHZ. The frequency of this vCPU's TSC in kHz. Setting 0 means the
  /// host's; others need Cap::kTscControl.
  [[nodiscard]] Result<std::uint32_t> tsc_khz() const;
  Result<void> set_tsc_khz(std::uint32_t khz) const;
  /// @}
  /// KVM_SET_GUEST_DEBUG. Errors: EBUSY to inject `#DB` or `#BP` while an exception is pending.
  Result<void> set_guest_debug(const GuestDebug& debug) const;
  /// A linear address through the vCPU's page tables; `valid` is 0 when it has none.
  [[nodiscard]] Result<Translation> translate(std::uint64_t linear_address) const;
  /// KVM_NMI: queues a non-maskable interrupt at the core, past the local APIC, whose LVT LINT1 the
  /// caller looks at first.
  Result<void> inject_nmi() const;
  /// KVM_SMI: pends a system management interrupt. Needs Cap::kX86Smm.
  Result<void> inject_smi() const;
  /// Queues a vector; only without an in-kernel irqchip.
  Result<void> inject_interrupt(std::uint32_t vector) const;
  /// Tells the guest that it was stopped, so that its watchdogs do not bark.
  Result<void> notify_paused() const;
  /// `capabilities`: MCG_CAP, the number of banks in its low byte.
  Result<void> setup_mce(std::uint64_t capabilities) const;
  /// KVM_X86_SET_MCE. Errors: EINVAL for a bank that setup_mce() did not give, or a status that is
  /// not marked valid.
  Result<void> inject_mce(const MachineCheck& mce) const;
  /// @{
  /// KVM_XEN_VCPU_GET_ATTR, KVM_XEN_VCPU_SET_ATTR. `attr.type` chooses what is read or written.
  /// Needs Cap::kXenHvm.
  Result<void> get_xen_attr(XenAttr& attr) const;
  Result<void> set_xen_attr(const XenAttr& attr) const;
  /// @}

  /// @{
  /// Register groups that cross with the run page.
  static constexpr std::uint64_t kSyncRegs = 1u << 0;
  static constexpr std::uint64_t kSyncSregs = 1u << 1;
  static constexpr std::uint64_t kSyncEvents = 1u << 2;
  /// @}
  /// Every exit stores these groups into sync_state(); adds to those asked for before.
  void request_sync(std::uint64_t groups) noexcept;
  /// Exits leave these groups alone from now on.
  void stop_sync(std::uint64_t groups) noexcept;
  /// The groups asked for.
  [[nodiscard]] std::uint64_t requested_sync() const noexcept;
  /// The next run loads these groups from sync_state(), once.
  void mark_sync_dirty(std::uint64_t groups) noexcept;
  /// Takes marks back, before the next run.
  void clear_sync_dirty(std::uint64_t groups) noexcept;
  /// The groups marked: KVM clears them when it loads.
  [[nodiscard]] std::uint64_t dirty_sync() const noexcept;
  /// Lives in the run page, as long as this object.
  [[nodiscard]] SyncState& sync_state() noexcept;

  /// @{
  /// What the run page says beside the exit.
  static constexpr std::uint16_t kRunSmm = 1u << 0;
  static constexpr std::uint16_t kRunBusLock = 1u << 1;
  static constexpr std::uint16_t kRunGuestMode = 1u << 2;
  /// @}
  /// The bits above, as of the last exit.
  [[nodiscard]] std::uint16_t run_flags() const noexcept;
  /// Whether inject_interrupt() would be taken now, as of the last exit; user-space irqchip only.
  [[nodiscard]] bool ready_for_interrupt() const noexcept;
  /// Asks for exits::IrqWindowOpen as soon as ready_for_interrupt(); user-space irqchip only.
  void request_interrupt_window(bool on) noexcept;
#elif defined(__aarch64__)
  /// Makes the vCPU usable, or resets it. Every call of a vCPU asks for the same features.
  Result<void> init(const VcpuInit& init) const;
  /// Seals a feature such as SVE (`feature` is KVM_ARM_VCPU_SVE). Needs Cap::kArmSve.
  Result<void> finalize(std::int32_t feature) const;
  [[nodiscard]] Result<Arm64VcpuEvents> get_vcpu_events() const;
  Result<void> set_vcpu_events(const Arm64VcpuEvents& events) const;
  Result<void> set_guest_debug(const Arm64GuestDebug& debug) const;
#endif

  /// Borrowed: valid as long as this object lives.
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  friend class Vm;
  Vcpu(UniqueFd fd, std::shared_ptr<sys_util::Mapping> run, std::size_t xsave_bytes)
      : fd_(std::move(fd)), page_(run->bytes()), run_(std::move(run)), xsave_bytes_(xsave_bytes) {}

  UniqueFd fd_;
  std::span<std::byte> page_;  // what run_ maps
  std::shared_ptr<sys_util::Mapping> run_;
  std::size_t xsave_bytes_;
};

}  // namespace vmm::kvm_ioctls
