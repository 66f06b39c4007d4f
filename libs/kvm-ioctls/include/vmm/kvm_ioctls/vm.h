// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/kvm_ioctls/arm64_state.h"
#include "vmm/kvm_ioctls/cap.h"
#include "vmm/kvm_ioctls/device.h"
#include "vmm/kvm_ioctls/irq.h"
#include "vmm/kvm_ioctls/memory.h"
#include "vmm/kvm_ioctls/stats.h"
#include "vmm/kvm_ioctls/vcpu.h"
#include "vmm/kvm_ioctls/vm_state.h"

namespace vmm::kvm_ioctls {

/// A virtual machine: memory, interrupts and vCPUs. The kernel keeps it alive as long as this
/// object, one of its vCPUs, devices or memory slots exists.
///
/// Errors of every function: the errno of the ioctl, with its name (EBADF on a descriptor that is
/// none), unless more is said. Thread-safety: all functions may be called from any thread.
class Vm {
 public:
  /// Takes over a VM's descriptor; `run_bytes` is System::vcpu_mmap_bytes().
  static Vm adopt(UniqueFd fd, std::size_t run_bytes) { return {std::move(fd), run_bytes}; }

  /// @{
  /// System::check_extension() and check_extension_raw(), answered for this VM.
  [[nodiscard]] Result<int> check_extension(Cap cap) const;
  [[nodiscard]] Result<int> check_extension_raw(std::uintptr_t number) const;
  /// @}
  /// Whether the capability is there; an error counts as absence.
  [[nodiscard]] bool has(Cap cap) const;
  /// KVM_ENABLE_CAP on this VM. Errors: EINVAL for a capability that cannot be enabled here.
  Result<void> enable_cap(const EnableCap& cap) const;

  // Memory.

  /// The owner of this VM's slot numbers. Make one, once.
  [[nodiscard]] Result<MemorySlots> memory_slots() const;
  /// Sets, moves, changes or (with an empty `host`) removes a slot. The caller keeps the memory
  /// mapped as long as the slot exists: MemorySlots does that by type.
  /// Errors: EINVAL for the removal of a slot that does not exist and for misaligned regions;
  /// EEXIST for an overlap.
  Result<void> set_memory_region(const MemoryRegion& region) const;
  /// The same with private memory behind it. Needs Cap::kUserMemory2.
  Result<void> set_memory_region2(const MemoryRegion& region, const GuestMemfdRange& memfd) const;
  /// Needs Cap::kGuestMemfd and a VM type that has private memory, or GuestMemfd::kMmap.
  [[nodiscard]] Result<GuestMemfd> create_guest_memfd(std::uint64_t bytes,
                                                      std::uint64_t flags = 0) const;
  /// Needs Cap::kMemoryAttributes, which says which ones there are.
  Result<void> set_memory_attributes(const MemoryAttributes& attributes) const;

  /// Makes every vCPU log dirty pages into a ring of `entries` (a power of two) instead of
  /// bitmaps; before the first vCPU. Errors: EOPNOTSUPP when KVM has no ring; EINVAL for other
  /// sizes; E2BIG for too many; EEXIST when vCPUs exist.
  Result<void> enable_dirty_ring(std::uint32_t entries) const;
  /// Protects again all pages that were harvested from the rings; answers how many.
  [[nodiscard]] Result<std::uint32_t> reset_dirty_rings() const;
  /// Pages stay dirty until MemorySlot::clear_dirty_log(). Needs Cap::kManualDirtyLogProtect2.
  /// `initially_set` starts every log with all pages dirty.
  Result<void> enable_manual_dirty_protect(bool initially_set = false) const;

  /// Stores to [address, address + bytes) are collected in the coalesced ring.
  struct CoalescedZone {
    std::uint64_t address;  ///< guest-physical, or a port when `pio`
    /// @{
    /// The size, and the address space.
    std::uint32_t bytes;
    bool pio = false;
    /// @}
  };
  /// @{
  /// KVM_REGISTER_COALESCED_MMIO. `pio` needs Cap::kCoalescedPio. Errors: ENOSPC when the VM has
  /// too many devices and zones. Removing a zone that is not there is no error.
  Result<void> register_coalesced(const CoalescedZone& zone) const;
  Result<void> unregister_coalesced(const CoalescedZone& zone) const;
  /// @}

  // vCPUs and devices.

  /// Errors: EINVAL when `id` is not below System::max_vcpu_id(); EEXIST for one in use.
  [[nodiscard]] Result<Vcpu> create_vcpu(std::uint32_t id) const;
  /// KVM_CREATE_DEVICE. Errors: ENODEV for a type that KVM does not know; EEXIST for a second one.
  [[nodiscard]] Result<Device> create_device(DeviceType type) const;
  /// Whether create_device() knows the type; creates nothing.
  [[nodiscard]] Result<void> test_device(DeviceType type) const;
  /// Opens the VM's statistics. Needs Cap::kBinaryStatsFd.
  [[nodiscard]] Result<StatsFd> stats() const;

  // Events and interrupts.

  /// Rings `eventfd` on matching guest writes. KVM takes its own reference to the descriptor.
  /// Errors: EEXIST when the same address and match are taken.
  Result<void> register_ioevent(int eventfd, const IoEvent& event) const;
  /// Errors: ENOENT unless registered with exactly these arguments.
  Result<void> unregister_ioevent(int eventfd, const IoEvent& event) const;

  /// Writes to `eventfd` raise `gsi`. Errors: EBUSY when the eventfd serves an interrupt already.
  Result<void> register_irqfd(int eventfd, Gsi gsi) const;
  /// Two descriptors, borrowed for the call.
  struct ResamplePair {
    int trigger;   ///< eventfd that raises the level interrupt
    int resample;  ///< eventfd that KVM rings when the guest acknowledges it
  };
  /// For level interrupts. Needs Cap::kIrqfdResample.
  Result<void> register_irqfd_with_resample(const ResamplePair& eventfds, Gsi gsi) const;
  /// KVM answers success for a pair that was not registered, too.
  Result<void> unregister_irqfd(int eventfd, Gsi gsi) const;

  /// Sets the level of a line (KVM_IRQ_LINE). Errors: ENXIO without an in-kernel irqchip, but for
  /// ArmIrqKind::kCpu.
  Result<void> set_irq_line(Gsi gsi, bool active) const;
  /// The same; answers whether it was delivered (>0), coalesced (0) or ignored (<0).
  [[nodiscard]] Result<std::int32_t> set_irq_line_status(Gsi gsi, bool active) const;
  /// Answers whether the guest got it; false when its destination blocks it.
  Result<bool> signal_msi(const MsiMessage& message) const;
  /// Replaces the whole table. Errors: EINVAL without an interrupt controller and for bad rows.
  Result<void> set_gsi_routing(std::span<const IrqRoute> routes) const;

  /// KVM_MEMORY_ENCRYPT_OP with a command of the vendor (SEV, TDX), read and written in place.
  Result<void> memory_encrypt_op(void* command) const;
  /// Host memory, by its address in this process.
  struct HostRange {
    /// @{
    /// KVM pins every page that the range touches.
    std::uint64_t address;
    std::uint64_t bytes;
    /// @}
  };
  /// @{
  /// KVM_MEMORY_ENCRYPT_REG_REGION and _UNREG_REGION (SEV). Pins memory that may hold encrypted
  /// guest pages, and lets it go.
  Result<void> register_encrypted_region(const HostRange& range) const;
  Result<void> unregister_encrypted_region(const HostRange& range) const;
  /// @}

  /// @{
  /// As Device's functions of the same names, on this VM.
  Result<void> set_attr(const DeviceAttr& a) const { return detail::set_attr(fd_.get(), a); }
  Result<void> get_attr(const DeviceAttr& a) const { return detail::get_attr(fd_.get(), a); }
  [[nodiscard]] bool has_attr(const DeviceAttr& a) const { return detail::has_attr(fd_.get(), a); }
  /// @}

#if defined(__x86_64__)
  /// PICs, IOAPIC and local APICs inside KVM; before the first vCPU.
  Result<void> create_irqchip() const;
  /// Local APICs inside KVM; PICs and an IOAPIC of `ioapic_pins` in user space.
  Result<void> enable_split_irqchip(std::uint32_t ioapic_pins) const;
  /// Reads the chip named by `chip.id`.
  Result<void> get_irqchip(IrqChip& chip) const;
  /// Writes the chip named by `chip.id`. Errors: EINVAL for a chip that does not exist.
  Result<void> set_irqchip(const IrqChip& chip) const;
  /// `speaker_dummy`: port 0x61 is KVM's too.
  Result<void> create_pit(bool speaker_dummy = false) const;
  /// @{
  /// KVM_GET_PIT2, KVM_SET_PIT2. Errors: ENXIO without create_pit().
  [[nodiscard]] Result<PitState> get_pit() const;
  Result<void> set_pit(const PitState& state) const;
  /// @}
  /// Whether lost timer ticks are delivered later.
  Result<void> set_pit_reinject(bool on) const;
  /// @{
  /// KVM_GET_CLOCK, KVM_SET_CLOCK. Errors: EINVAL for flags that KVM does not know.
  [[nodiscard]] Result<ClockData> get_clock() const;
  Result<void> set_clock(const ClockData& clock) const;
  /// @}

  /// Three pages below 4 GiB that Intel's virtualization needs for real mode; not guest RAM.
  Result<void> set_tss_address(GuestAddress address) const;
  /// One page more of that kind. Errors: EINVAL once a vCPU exists.
  Result<void> set_identity_map_address(GuestAddress address) const;
  /// Errors: EBUSY once a vCPU exists.
  Result<void> set_boot_cpu_id(std::uint32_t id) const;
  /// The default of vCPUs to come. Needs Cap::kVmTscControl.
  Result<void> set_tsc_khz(std::uint32_t khz) const;
  /// The frequency in kHz that vCPUs to come get.
  [[nodiscard]] Result<std::uint32_t> tsc_khz() const;
  /// Bytes of a vCPU's extended state: 4096, or more when dynamic features were asked for.
  [[nodiscard]] std::size_t xsave_bytes() const;

  /// Errors: EINVAL (found here) for more than 16 ranges and for a bitmap shorter than its range;
  /// EINVAL for no range together with default_deny.
  Result<void> set_msr_filter(const MsrFilter& filter) const;
  /// Errors: E2BIG (found here) for more than 300 events.
  Result<void> set_pmu_event_filter(const PmuEventFilter& filter) const;
  /// KVM_XEN_HVM_CONFIG. Errors: EINVAL for flags that KVM does not know.
  Result<void> set_xen_config(const XenConfig& config) const;
  /// @{
  /// KVM_XEN_HVM_GET_ATTR, KVM_XEN_HVM_SET_ATTR. `attr.type` chooses what is read or written. Needs
  /// Cap::kXenHvm.
  Result<void> get_xen_attr(XenAttr& attr) const;
  Result<void> set_xen_attr(const XenAttr& attr) const;
  /// @}
  /// Signals `eventfd` for Hyper-V's HvSignalEvent on a connection; -1 removes it.
  Result<void> set_hyperv_eventfd(std::uint32_t connection, int eventfd) const;
#elif defined(__aarch64__)
  /// A GICv2; see create_device() for others.
  Result<void> create_irqchip() const;
  /// A target and features for Vcpu::init().
  [[nodiscard]] Result<VcpuInit> preferred_target() const;
  /// What the guest's counters are behind the host's; from then on the guest cannot set them.
  /// Needs Cap::kCounterOffset.
  Result<void> set_counter_offset(std::uint64_t ticks) const;
  /// Answers the bytes of memory whose tags were copied. Needs Cap::kArmMte.
  Result<std::uint64_t> copy_mte_tags(const MteTags& tags) const;
  /// Needs Cap::kArmSupportedRegMaskRanges.
  [[nodiscard]] Result<RegWritableMasks> reg_writable_masks() const;
  /// Before the first vCPU runs; ranges may not overlap. Errors: EINVAL or ENXIO when KVM has no
  /// filter; EEXIST for a range that has an action already.
  Result<void> set_smccc_filter(const SmcccFilter& filter) const;
#endif

  /// Borrowed: valid as long as this object lives.
  [[nodiscard]] int fd() const { return fd_.get(); }

 private:
  friend class System;
  Vm(UniqueFd fd, std::size_t run_bytes) : fd_(std::move(fd)), run_bytes_(run_bytes) {}

  UniqueFd fd_;
  std::size_t run_bytes_;
};

}  // namespace vmm::kvm_ioctls
