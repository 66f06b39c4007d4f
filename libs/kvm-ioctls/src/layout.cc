// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Our structures and constants against the kernel's. Nothing here is compiled into code.

#include <cstddef>

#include "uapi_extra.h"
#include "vmm/kvm_ioctls/cap.h"
#include "vmm/kvm_ioctls/device.h"
#include "vmm/kvm_ioctls/exit.h"
#include "vmm/kvm_ioctls/irq.h"
#include "vmm/kvm_ioctls/memory.h"
#include "vmm/kvm_ioctls/one_reg.h"
#include "vmm/kvm_ioctls/vcpu.h"
#include "vmm/kvm_ioctls/vm_state.h"
#include "vmm/kvm_ioctls/x86_state.h"

namespace vmm::kvm_ioctls {

#define VMM_SAME_SIZE(ours, theirs) static_assert(sizeof(ours) == sizeof(theirs))
#define VMM_SAME_FIELD(ours, our_field, theirs, their_field)                  \
  static_assert(offsetof(ours, our_field) == offsetof(theirs, their_field) && \
                sizeof(ours::our_field) == sizeof(theirs::their_field))
#define VMM_SAME_CAP(ours, theirs) static_assert(static_cast<int>(Cap::ours) == (theirs))

VMM_SAME_SIZE(EnableCap, kvm_enable_cap);
VMM_SAME_FIELD(EnableCap, args, kvm_enable_cap, args);
VMM_SAME_SIZE(IrqRoute, kvm_irq_routing_entry);
VMM_SAME_FIELD(IrqRoute, type, kvm_irq_routing_entry, type);
VMM_SAME_FIELD(IrqRoute, target, kvm_irq_routing_entry, u);
static_assert(offsetof(kvm_irq_routing_msi, data) == 8);
static_assert(offsetof(kvm_irq_routing_msi, devid) == 12);
static_assert(sizeof(uapi::UserspaceMemoryRegion2) == 160);
static_assert(sizeof(uapi::CreateGuestMemfd) == 64);
static_assert(sizeof(uapi::PreFaultMemory) == 64);
static_assert(sizeof(uapi::MemoryAttributes) == 32);
static_assert(KVM_SET_USER_MEMORY_REGION2 == 0x40a0ae49);
static_assert(KVM_SET_MEMORY_ATTRIBUTES == 0x4020aed2);
static_assert(KVM_CREATE_GUEST_MEMFD == 0xc040aed4);
static_assert(KVM_PRE_FAULT_MEMORY == 0xc040aed5);
static_assert(static_cast<int>(DeviceType::kVfio) == KVM_DEV_TYPE_VFIO);
static_assert(static_cast<int>(DeviceType::kArmVgicV3) == KVM_DEV_TYPE_ARM_VGIC_V3);
static_assert(static_cast<int>(DeviceType::kArmPvTime) == KVM_DEV_TYPE_ARM_PV_TIME);
static_assert(static_cast<int>(MpState::kSuspended) == KVM_MP_STATE_SUSPENDED);
static_assert(static_cast<int>(MpState::kApResetHold) == KVM_MP_STATE_AP_RESET_HOLD);
static_assert(kRegArchX86 == KVM_REG_X86 && kRegArchArm64 == KVM_REG_ARM64 &&
              kRegArchRiscv == KVM_REG_RISCV);
static_assert(kRegSizeMask == KVM_REG_SIZE_MASK && kRegSizeU64 == KVM_REG_SIZE_U64 &&
              kRegSizeU128 == KVM_REG_SIZE_U128);
static_assert(exits::SystemEvent::kSevTerm == KVM_SYSTEM_EVENT_SEV_TERM);
static_assert(exits::InternalError::kUnexpectedExit == KVM_INTERNAL_ERROR_UNEXPECTED_EXIT_REASON);
static_assert(exits::MsrReason::kFilter == KVM_MSR_EXIT_REASON_FILTER);
static_assert(MemoryAttributes::kPrivate == KVM_MEMORY_ATTRIBUTE_PRIVATE);

#if defined(__x86_64__)

VMM_SAME_SIZE(Regs, kvm_regs);
VMM_SAME_FIELD(Regs, rsi, kvm_regs, rsi);
VMM_SAME_FIELD(Regs, r8, kvm_regs, r8);
VMM_SAME_FIELD(Regs, rflags, kvm_regs, rflags);
VMM_SAME_SIZE(Segment, kvm_segment);
VMM_SAME_FIELD(Segment, selector, kvm_segment, selector);
VMM_SAME_FIELD(Segment, present, kvm_segment, present);
VMM_SAME_FIELD(Segment, unusable, kvm_segment, unusable);
VMM_SAME_SIZE(DescriptorTable, kvm_dtable);
VMM_SAME_SIZE(Sregs, kvm_sregs);
VMM_SAME_FIELD(Sregs, gdt, kvm_sregs, gdt);
VMM_SAME_FIELD(Sregs, cr0, kvm_sregs, cr0);
VMM_SAME_FIELD(Sregs, efer, kvm_sregs, efer);
VMM_SAME_FIELD(Sregs, interrupt_bitmap, kvm_sregs, interrupt_bitmap);
VMM_SAME_SIZE(Sregs2, kvm_sregs2);
VMM_SAME_FIELD(Sregs2, flags, kvm_sregs2, flags);
VMM_SAME_FIELD(Sregs2, pdptrs, kvm_sregs2, pdptrs);
VMM_SAME_SIZE(Fpu, kvm_fpu);
VMM_SAME_FIELD(Fpu, fcw, kvm_fpu, fcw);
VMM_SAME_FIELD(Fpu, mxcsr, kvm_fpu, mxcsr);
VMM_SAME_SIZE(Lapic, kvm_lapic_state);
VMM_SAME_SIZE(MsrEntry, kvm_msr_entry);
VMM_SAME_FIELD(MsrEntry, data, kvm_msr_entry, data);
VMM_SAME_SIZE(CpuidEntry, kvm_cpuid_entry2);
VMM_SAME_FIELD(CpuidEntry, eax, kvm_cpuid_entry2, eax);
static_assert(sizeof(CpuidList) == sizeof(kvm_cpuid2) + 256 * sizeof(kvm_cpuid_entry2));
static_assert(sizeof(MsrList) == sizeof(kvm_msrs) + 256 * sizeof(kvm_msr_entry));
VMM_SAME_SIZE(VcpuEvents, kvm_vcpu_events);
VMM_SAME_FIELD(VcpuEvents, interrupt, kvm_vcpu_events, interrupt);
VMM_SAME_FIELD(VcpuEvents, sipi_vector, kvm_vcpu_events, sipi_vector);
VMM_SAME_FIELD(VcpuEvents, smi, kvm_vcpu_events, smi);
VMM_SAME_FIELD(VcpuEvents, triple_fault_pending, kvm_vcpu_events, triple_fault);
VMM_SAME_FIELD(VcpuEvents, exception_payload, kvm_vcpu_events, exception_payload);
VMM_SAME_SIZE(DebugRegs, kvm_debugregs);
VMM_SAME_FIELD(DebugRegs, dr7, kvm_debugregs, dr7);
VMM_SAME_SIZE(Xcrs, kvm_xcrs);
VMM_SAME_FIELD(Xcrs, xcrs, kvm_xcrs, xcrs);
VMM_SAME_SIZE(Xsave, kvm_xsave);
static_assert(sizeof(kvm_nested_state) == NestedState::kHeaderBytes);
static_assert(sizeof(NestedState) == 8320);
VMM_SAME_FIELD(NestedState, size, kvm_nested_state, size);
VMM_SAME_FIELD(NestedState, header, kvm_nested_state, hdr);
static_assert(offsetof(kvm_vmx_nested_state_hdr, vmxon_pa) == 0);
static_assert(offsetof(kvm_vmx_nested_state_hdr, smm.flags) == 16);
static_assert(KVM_STATE_NESTED_GIF_SET == 1u << 8);
static_assert(offsetof(NestedState, payload) == offsetof(kvm_nested_state, data));
VMM_SAME_SIZE(SyncState, kvm_sync_regs);
VMM_SAME_FIELD(SyncState, sregs, kvm_sync_regs, sregs);
VMM_SAME_FIELD(SyncState, events, kvm_sync_regs, events);
static_assert(Vcpu::kSyncRegs == KVM_SYNC_X86_REGS && Vcpu::kSyncSregs == KVM_SYNC_X86_SREGS &&
              Vcpu::kSyncEvents == KVM_SYNC_X86_EVENTS);
VMM_SAME_SIZE(Translation, kvm_translation);
VMM_SAME_FIELD(Translation, valid, kvm_translation, valid);
VMM_SAME_SIZE(MachineCheck, kvm_x86_mce);
VMM_SAME_FIELD(MachineCheck, bank, kvm_x86_mce, bank);
VMM_SAME_SIZE(GuestDebug, kvm_guest_debug);
static_assert(GuestDebug::kBlockIrq == KVM_GUESTDBG_BLOCKIRQ &&
              GuestDebug::kHardwareBreakpoints == KVM_GUESTDBG_USE_HW_BP);
VMM_SAME_SIZE(PicState, kvm_pic_state);
VMM_SAME_FIELD(PicState, irq_base, kvm_pic_state, irq_base);
VMM_SAME_FIELD(PicState, elcr, kvm_pic_state, elcr);
VMM_SAME_SIZE(IoapicState, kvm_ioapic_state);
VMM_SAME_FIELD(IoapicState, redirection, kvm_ioapic_state, redirtbl);
VMM_SAME_SIZE(IrqChip, kvm_irqchip);
VMM_SAME_FIELD(IrqChip, bytes, kvm_irqchip, chip);
VMM_SAME_SIZE(PitState, kvm_pit_state2);
VMM_SAME_SIZE(PitState::Channel, kvm_pit_channel_state);
VMM_SAME_FIELD(PitState::Channel, mode, kvm_pit_channel_state, mode);
VMM_SAME_FIELD(PitState::Channel, count_load_time, kvm_pit_channel_state, count_load_time);
VMM_SAME_FIELD(PitState, flags, kvm_pit_state2, flags);
VMM_SAME_SIZE(ClockData, kvm_clock_data);
VMM_SAME_FIELD(ClockData, realtime, kvm_clock_data, realtime);
VMM_SAME_FIELD(ClockData, host_tsc, kvm_clock_data, host_tsc);
VMM_SAME_SIZE(XenConfig, kvm_xen_hvm_config);
VMM_SAME_FIELD(XenConfig, blob_size_32, kvm_xen_hvm_config, blob_size_32);
VMM_SAME_SIZE(XenAttr, kvm_xen_hvm_attr);
VMM_SAME_SIZE(XenAttr, kvm_xen_vcpu_attr);
VMM_SAME_FIELD(XenAttr, value, kvm_xen_hvm_attr, u);

#elif defined(__aarch64__)

VMM_SAME_SIZE(VcpuInit, kvm_vcpu_init);
VMM_SAME_FIELD(VcpuInit, features, kvm_vcpu_init, features);
VMM_SAME_SIZE(Arm64VcpuEvents, kvm_vcpu_events);
VMM_SAME_FIELD(Arm64VcpuEvents, serror_esr, kvm_vcpu_events, exception.serror_esr);
VMM_SAME_SIZE(Arm64GuestDebug, kvm_guest_debug);
VMM_SAME_FIELD(Arm64GuestDebug, breakpoint_value, kvm_guest_debug, arch.dbg_bvr);
VMM_SAME_FIELD(Arm64GuestDebug, watchpoint_value, kvm_guest_debug, arch.dbg_wvr);
static_assert(Arm64GuestDebug::kHardware == KVM_GUESTDBG_USE_HW);
VMM_SAME_SIZE(Arm64PmuFilter, kvm_pmu_event_filter);
VMM_SAME_FIELD(Arm64PmuFilter, action, kvm_pmu_event_filter, action);
static_assert(static_cast<std::uint64_t>(kArm64PsciVersion) == KVM_REG_ARM_PSCI_VERSION);
static_assert(static_cast<std::uint64_t>(kArm64TimerCompare) == KVM_REG_ARM_TIMER_CVAL);
static_assert(static_cast<std::uint64_t>(kArm64TimerCount) == KVM_REG_ARM_TIMER_CNT);
static_assert(static_cast<std::uint64_t>(kArm64TimerControl) == KVM_REG_ARM_TIMER_CTL);
static_assert(static_cast<std::uint64_t>(kArm64SveLengths) == KVM_REG_ARM64_SVE_VLS);
static_assert(kArmVcpuPmu == KVM_ARM_VCPU_PMU_V3_CTRL && kArmVcpuTimer == KVM_ARM_VCPU_TIMER_CTRL &&
              kArmVcpuPvTime == KVM_ARM_VCPU_PVTIME_CTRL);
static_assert(kArmVcpuPmuIrq == KVM_ARM_VCPU_PMU_V3_IRQ &&
              kArmVcpuPmuInit == KVM_ARM_VCPU_PMU_V3_INIT &&
              kArmVcpuPmuFilter == KVM_ARM_VCPU_PMU_V3_FILTER &&
              kArmVcpuPmuSet == KVM_ARM_VCPU_PMU_V3_SET_PMU);
static_assert(kVgicAddress == KVM_DEV_ARM_VGIC_GRP_ADDR &&
              kVgicDistRegs == KVM_DEV_ARM_VGIC_GRP_DIST_REGS &&
              kVgicCpuRegs == KVM_DEV_ARM_VGIC_GRP_CPU_REGS &&
              kVgicNrIrqs == KVM_DEV_ARM_VGIC_GRP_NR_IRQS &&
              kVgicControl == KVM_DEV_ARM_VGIC_GRP_CTRL &&
              kVgicRedistRegs == KVM_DEV_ARM_VGIC_GRP_REDIST_REGS &&
              kVgicCpuSysRegs == KVM_DEV_ARM_VGIC_GRP_CPU_SYSREGS &&
              kVgicLevelInfo == KVM_DEV_ARM_VGIC_GRP_LEVEL_INFO &&
              kVgicItsRegs == KVM_DEV_ARM_VGIC_GRP_ITS_REGS);
static_assert(kVgicV3RedistRegion == KVM_VGIC_V3_ADDR_TYPE_REDIST_REGION &&
              kVgicItsAddress == KVM_VGIC_ITS_ADDR_TYPE &&
              kVgicItsReset == KVM_DEV_ARM_ITS_CTRL_RESET &&
              kVgicSavePendingTables == KVM_DEV_ARM_VGIC_SAVE_PENDING_TABLES);

#endif

VMM_SAME_CAP(kIrqchip, KVM_CAP_IRQCHIP);
VMM_SAME_CAP(kHlt, KVM_CAP_HLT);
VMM_SAME_CAP(kMmuShadowCacheControl, KVM_CAP_MMU_SHADOW_CACHE_CONTROL);
VMM_SAME_CAP(kUserMemory, KVM_CAP_USER_MEMORY);
VMM_SAME_CAP(kSetTssAddr, KVM_CAP_SET_TSS_ADDR);
VMM_SAME_CAP(kVapic, KVM_CAP_VAPIC);
VMM_SAME_CAP(kExtCpuid, KVM_CAP_EXT_CPUID);
VMM_SAME_CAP(kClocksource, KVM_CAP_CLOCKSOURCE);
VMM_SAME_CAP(kNrVcpus, KVM_CAP_NR_VCPUS);
VMM_SAME_CAP(kNrMemslots, KVM_CAP_NR_MEMSLOTS);
VMM_SAME_CAP(kPit, KVM_CAP_PIT);
VMM_SAME_CAP(kNopIoDelay, KVM_CAP_NOP_IO_DELAY);
VMM_SAME_CAP(kPvMmu, KVM_CAP_PV_MMU);
VMM_SAME_CAP(kMpState, KVM_CAP_MP_STATE);
VMM_SAME_CAP(kCoalescedMmio, KVM_CAP_COALESCED_MMIO);
VMM_SAME_CAP(kSyncMmu, KVM_CAP_SYNC_MMU);
VMM_SAME_CAP(kIommu, KVM_CAP_IOMMU);
VMM_SAME_CAP(kDestroyMemoryRegionWorks, KVM_CAP_DESTROY_MEMORY_REGION_WORKS);
VMM_SAME_CAP(kUserNmi, KVM_CAP_USER_NMI);
VMM_SAME_CAP(kSetGuestDebug, KVM_CAP_SET_GUEST_DEBUG);
VMM_SAME_CAP(kIrqRouting, KVM_CAP_IRQ_ROUTING);
VMM_SAME_CAP(kIrqInjectStatus, KVM_CAP_IRQ_INJECT_STATUS);
VMM_SAME_CAP(kJoinMemoryRegionsWorks, KVM_CAP_JOIN_MEMORY_REGIONS_WORKS);
VMM_SAME_CAP(kIrqfd, KVM_CAP_IRQFD);
VMM_SAME_CAP(kSetBootCpuId, KVM_CAP_SET_BOOT_CPU_ID);
VMM_SAME_CAP(kIoeventfd, KVM_CAP_IOEVENTFD);
VMM_SAME_CAP(kSetIdentityMapAddr, KVM_CAP_SET_IDENTITY_MAP_ADDR);
VMM_SAME_CAP(kAdjustClock, KVM_CAP_ADJUST_CLOCK);
VMM_SAME_CAP(kInternalErrorData, KVM_CAP_INTERNAL_ERROR_DATA);
VMM_SAME_CAP(kVcpuEvents, KVM_CAP_VCPU_EVENTS);
VMM_SAME_CAP(kHyperv, KVM_CAP_HYPERV);
VMM_SAME_CAP(kHypervVapic, KVM_CAP_HYPERV_VAPIC);
VMM_SAME_CAP(kHypervSpin, KVM_CAP_HYPERV_SPIN);
VMM_SAME_CAP(kPciSegment, KVM_CAP_PCI_SEGMENT);
VMM_SAME_CAP(kIntrShadow, KVM_CAP_INTR_SHADOW);
VMM_SAME_CAP(kX86RobustSinglestep, KVM_CAP_X86_ROBUST_SINGLESTEP);
VMM_SAME_CAP(kEnableCap, KVM_CAP_ENABLE_CAP);
VMM_SAME_CAP(kAsyncPf, KVM_CAP_ASYNC_PF);
VMM_SAME_CAP(kTscControl, KVM_CAP_TSC_CONTROL);
VMM_SAME_CAP(kGetTscKhz, KVM_CAP_GET_TSC_KHZ);
VMM_SAME_CAP(kMaxVcpus, KVM_CAP_MAX_VCPUS);
VMM_SAME_CAP(kOneReg, KVM_CAP_ONE_REG);
VMM_SAME_CAP(kTscDeadlineTimer, KVM_CAP_TSC_DEADLINE_TIMER);
VMM_SAME_CAP(kSyncRegs, KVM_CAP_SYNC_REGS);
VMM_SAME_CAP(kKvmclockCtrl, KVM_CAP_KVMCLOCK_CTRL);
VMM_SAME_CAP(kSignalMsi, KVM_CAP_SIGNAL_MSI);
VMM_SAME_CAP(kReadonlyMem, KVM_CAP_READONLY_MEM);
VMM_SAME_CAP(kIrqfdResample, KVM_CAP_IRQFD_RESAMPLE);
VMM_SAME_CAP(kArmPsci, KVM_CAP_ARM_PSCI);
VMM_SAME_CAP(kArmSetDeviceAddr, KVM_CAP_ARM_SET_DEVICE_ADDR);
VMM_SAME_CAP(kDeviceCtrl, KVM_CAP_DEVICE_CTRL);
VMM_SAME_CAP(kArmEl132bit, KVM_CAP_ARM_EL1_32BIT);
VMM_SAME_CAP(kExtEmulCpuid, KVM_CAP_EXT_EMUL_CPUID);
VMM_SAME_CAP(kHypervTime, KVM_CAP_HYPERV_TIME);
VMM_SAME_CAP(kIoapicPolarityIgnored, KVM_CAP_IOAPIC_POLARITY_IGNORED);
VMM_SAME_CAP(kEnableCapVm, KVM_CAP_ENABLE_CAP_VM);
VMM_SAME_CAP(kIoeventfdNoLength, KVM_CAP_IOEVENTFD_NO_LENGTH);
VMM_SAME_CAP(kVmAttributes, KVM_CAP_VM_ATTRIBUTES);
VMM_SAME_CAP(kArmPsci02, KVM_CAP_ARM_PSCI_0_2);
VMM_SAME_CAP(kCheckExtensionVm, KVM_CAP_CHECK_EXTENSION_VM);
VMM_SAME_CAP(kDisableQuirks, KVM_CAP_DISABLE_QUIRKS);
VMM_SAME_CAP(kX86Smm, KVM_CAP_X86_SMM);
VMM_SAME_CAP(kMultiAddressSpace, KVM_CAP_MULTI_ADDRESS_SPACE);
VMM_SAME_CAP(kGuestDebugHwBps, KVM_CAP_GUEST_DEBUG_HW_BPS);
VMM_SAME_CAP(kGuestDebugHwWps, KVM_CAP_GUEST_DEBUG_HW_WPS);
VMM_SAME_CAP(kSplitIrqchip, KVM_CAP_SPLIT_IRQCHIP);
VMM_SAME_CAP(kIoeventfdAnyLength, KVM_CAP_IOEVENTFD_ANY_LENGTH);
VMM_SAME_CAP(kHypervSynic, KVM_CAP_HYPERV_SYNIC);
VMM_SAME_CAP(kArmPmuV3, KVM_CAP_ARM_PMU_V3);
VMM_SAME_CAP(kVcpuAttributes, KVM_CAP_VCPU_ATTRIBUTES);
VMM_SAME_CAP(kMaxVcpuId, KVM_CAP_MAX_VCPU_ID);
VMM_SAME_CAP(kX2apicApi, KVM_CAP_X2APIC_API);
VMM_SAME_CAP(kMsiDevid, KVM_CAP_MSI_DEVID);
VMM_SAME_CAP(kImmediateExit, KVM_CAP_IMMEDIATE_EXIT);
VMM_SAME_CAP(kX86DisableExits, KVM_CAP_X86_DISABLE_EXITS);
VMM_SAME_CAP(kArmUserIrq, KVM_CAP_ARM_USER_IRQ);
VMM_SAME_CAP(kHypervSynic2, KVM_CAP_HYPERV_SYNIC2);
VMM_SAME_CAP(kHypervVpIndex, KVM_CAP_HYPERV_VP_INDEX);
VMM_SAME_CAP(kGetMsrFeatures, KVM_CAP_GET_MSR_FEATURES);
VMM_SAME_CAP(kHypervEventfd, KVM_CAP_HYPERV_EVENTFD);
VMM_SAME_CAP(kHypervTlbflush, KVM_CAP_HYPERV_TLBFLUSH);
VMM_SAME_CAP(kNestedState, KVM_CAP_NESTED_STATE);
VMM_SAME_CAP(kArmInjectSerrorEsr, KVM_CAP_ARM_INJECT_SERROR_ESR);
VMM_SAME_CAP(kMsrPlatformInfo, KVM_CAP_MSR_PLATFORM_INFO);
VMM_SAME_CAP(kHypervSendIpi, KVM_CAP_HYPERV_SEND_IPI);
VMM_SAME_CAP(kCoalescedPio, KVM_CAP_COALESCED_PIO);
VMM_SAME_CAP(kHypervEnlightenedVmcs, KVM_CAP_HYPERV_ENLIGHTENED_VMCS);
VMM_SAME_CAP(kExceptionPayload, KVM_CAP_EXCEPTION_PAYLOAD);
VMM_SAME_CAP(kArmVmIpaSize, KVM_CAP_ARM_VM_IPA_SIZE);
VMM_SAME_CAP(kManualDirtyLogProtect, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT);
VMM_SAME_CAP(kHypervCpuid, KVM_CAP_HYPERV_CPUID);
VMM_SAME_CAP(kManualDirtyLogProtect2, KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2);
VMM_SAME_CAP(kArmSve, KVM_CAP_ARM_SVE);
VMM_SAME_CAP(kArmPtrauthAddress, KVM_CAP_ARM_PTRAUTH_ADDRESS);
VMM_SAME_CAP(kArmPtrauthGeneric, KVM_CAP_ARM_PTRAUTH_GENERIC);
VMM_SAME_CAP(kPmuEventFilter, KVM_CAP_PMU_EVENT_FILTER);
VMM_SAME_CAP(kArmIrqLineLayout2, KVM_CAP_ARM_IRQ_LINE_LAYOUT_2);
VMM_SAME_CAP(kHypervDirectTlbflush, KVM_CAP_HYPERV_DIRECT_TLBFLUSH);
VMM_SAME_CAP(kArmNisvToUser, KVM_CAP_ARM_NISV_TO_USER);
VMM_SAME_CAP(kArmInjectExtDabt, KVM_CAP_ARM_INJECT_EXT_DABT);
VMM_SAME_CAP(kHaltPoll, KVM_CAP_HALT_POLL);
VMM_SAME_CAP(kAsyncPfInt, KVM_CAP_ASYNC_PF_INT);
VMM_SAME_CAP(kSmallerMaxphyaddr, KVM_CAP_SMALLER_MAXPHYADDR);
VMM_SAME_CAP(kStealTime, KVM_CAP_STEAL_TIME);
VMM_SAME_CAP(kX86UserSpaceMsr, KVM_CAP_X86_USER_SPACE_MSR);
VMM_SAME_CAP(kX86MsrFilter, KVM_CAP_X86_MSR_FILTER);
VMM_SAME_CAP(kEnforcePvFeatureCpuid, KVM_CAP_ENFORCE_PV_FEATURE_CPUID);
VMM_SAME_CAP(kSysHypervCpuid, KVM_CAP_SYS_HYPERV_CPUID);
VMM_SAME_CAP(kDirtyLogRing, KVM_CAP_DIRTY_LOG_RING);
VMM_SAME_CAP(kX86BusLockExit, KVM_CAP_X86_BUS_LOCK_EXIT);
VMM_SAME_CAP(kSetGuestDebug2, KVM_CAP_SET_GUEST_DEBUG2);
VMM_SAME_CAP(kSgxAttribute, KVM_CAP_SGX_ATTRIBUTE);
VMM_SAME_CAP(kVmCopyEncContextFrom, KVM_CAP_VM_COPY_ENC_CONTEXT_FROM);
VMM_SAME_CAP(kPtpKvm, KVM_CAP_PTP_KVM);
VMM_SAME_CAP(kHypervEnforceCpuid, KVM_CAP_HYPERV_ENFORCE_CPUID);
VMM_SAME_CAP(kSregs2, KVM_CAP_SREGS2);
VMM_SAME_CAP(kExitHypercall, KVM_CAP_EXIT_HYPERCALL);
VMM_SAME_CAP(kBinaryStatsFd, KVM_CAP_BINARY_STATS_FD);
VMM_SAME_CAP(kExitOnEmulationFailure, KVM_CAP_EXIT_ON_EMULATION_FAILURE);
VMM_SAME_CAP(kArmMte, KVM_CAP_ARM_MTE);
VMM_SAME_CAP(kVmMoveEncContextFrom, KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM);
VMM_SAME_CAP(kVmGpaBits, KVM_CAP_VM_GPA_BITS);
VMM_SAME_CAP(kXsave2, KVM_CAP_XSAVE2);
VMM_SAME_CAP(kSysAttributes, KVM_CAP_SYS_ATTRIBUTES);
VMM_SAME_CAP(kPmuCapability, KVM_CAP_PMU_CAPABILITY);
VMM_SAME_CAP(kDisableQuirks2, KVM_CAP_DISABLE_QUIRKS2);
VMM_SAME_CAP(kVmTscControl, KVM_CAP_VM_TSC_CONTROL);
VMM_SAME_CAP(kSystemEventData, KVM_CAP_SYSTEM_EVENT_DATA);
VMM_SAME_CAP(kArmSystemSuspend, KVM_CAP_ARM_SYSTEM_SUSPEND);
VMM_SAME_CAP(kX86TripleFaultEvent, KVM_CAP_X86_TRIPLE_FAULT_EVENT);
VMM_SAME_CAP(kX86NotifyVmexit, KVM_CAP_X86_NOTIFY_VMEXIT);
VMM_SAME_CAP(kVmDisableNxHugePages, KVM_CAP_VM_DISABLE_NX_HUGE_PAGES);
VMM_SAME_CAP(kDirtyLogRingAcqRel, KVM_CAP_DIRTY_LOG_RING_ACQ_REL);
VMM_SAME_CAP(kDirtyLogRingWithBitmap, KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP);
VMM_SAME_CAP(kPmuEventMaskedEvents, KVM_CAP_PMU_EVENT_MASKED_EVENTS);
VMM_SAME_CAP(kCounterOffset, KVM_CAP_COUNTER_OFFSET);
VMM_SAME_CAP(kArmEagerSplitChunkSize, KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE);
VMM_SAME_CAP(kArmSupportedBlockSizes, KVM_CAP_ARM_SUPPORTED_BLOCK_SIZES);
VMM_SAME_CAP(kArmSupportedRegMaskRanges, KVM_CAP_ARM_SUPPORTED_REG_MASK_RANGES);
VMM_SAME_CAP(kUserMemory2, KVM_CAP_USER_MEMORY2);
VMM_SAME_CAP(kMemoryFaultInfo, KVM_CAP_MEMORY_FAULT_INFO);
VMM_SAME_CAP(kMemoryAttributes, KVM_CAP_MEMORY_ATTRIBUTES);
VMM_SAME_CAP(kGuestMemfd, KVM_CAP_GUEST_MEMFD);
VMM_SAME_CAP(kVmTypes, KVM_CAP_VM_TYPES);
VMM_SAME_CAP(kPreFaultMemory, KVM_CAP_PRE_FAULT_MEMORY);
VMM_SAME_CAP(kX86ApicBusCyclesNs, KVM_CAP_X86_APIC_BUS_CYCLES_NS);
VMM_SAME_CAP(kX86GuestMode, KVM_CAP_X86_GUEST_MODE);
VMM_SAME_CAP(kArmWritableImpIdRegs, KVM_CAP_ARM_WRITABLE_IMP_ID_REGS);
VMM_SAME_CAP(kArmEl2, KVM_CAP_ARM_EL2);
VMM_SAME_CAP(kArmEl2E2h0, KVM_CAP_ARM_EL2_E2H0);
VMM_SAME_CAP(kRiscvMpStateReset, KVM_CAP_RISCV_MP_STATE_RESET);
VMM_SAME_CAP(kArmCacheablePfnmapSupported, KVM_CAP_ARM_CACHEABLE_PFNMAP_SUPPORTED);
VMM_SAME_CAP(kGuestMemfdFlags, KVM_CAP_GUEST_MEMFD_FLAGS);
VMM_SAME_CAP(kArmSeaToUser, KVM_CAP_ARM_SEA_TO_USER);

// The header has these for x86_64 only.
#if defined(__x86_64__)
VMM_SAME_CAP(kReinjectControl, KVM_CAP_REINJECT_CONTROL);
VMM_SAME_CAP(kMce, KVM_CAP_MCE);
VMM_SAME_CAP(kPit2, KVM_CAP_PIT2);
VMM_SAME_CAP(kPitState2, KVM_CAP_PIT_STATE2);
VMM_SAME_CAP(kXenHvm, KVM_CAP_XEN_HVM);
VMM_SAME_CAP(kDebugregs, KVM_CAP_DEBUGREGS);
VMM_SAME_CAP(kXsave, KVM_CAP_XSAVE);
VMM_SAME_CAP(kXcrs, KVM_CAP_XCRS);
#endif

}  // namespace vmm::kvm_ioctls
