// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

namespace vmm::kvm_ioctls {

/// What may be asked of KVM_CHECK_EXTENSION and KVM_ENABLE_CAP; api.rst describes each. The
/// numbers are the kernel's, of x86_64, aarch64 and riscv64.
enum class Cap : std::uint32_t {
  kIrqchip = 0,
  kHlt = 1,
  kMmuShadowCacheControl = 2,
  kUserMemory = 3,
  kSetTssAddr = 4,
  kVapic = 6,
  kExtCpuid = 7,
  kClocksource = 8,
  kNrVcpus = 9,
  kNrMemslots = 10,
  kPit = 11,
  kNopIoDelay = 12,
  kPvMmu = 13,
  kMpState = 14,
  kCoalescedMmio = 15,
  kSyncMmu = 16,
  kIommu = 18,
  kDestroyMemoryRegionWorks = 21,
  kUserNmi = 22,
  kSetGuestDebug = 23,
  kReinjectControl = 24,
  kIrqRouting = 25,
  kIrqInjectStatus = 26,
  kJoinMemoryRegionsWorks = 30,
  kMce = 31,
  kIrqfd = 32,
  kPit2 = 33,
  kSetBootCpuId = 34,
  kPitState2 = 35,
  kIoeventfd = 36,
  kSetIdentityMapAddr = 37,
  kXenHvm = 38,
  kAdjustClock = 39,
  kInternalErrorData = 40,
  kVcpuEvents = 41,
  kHyperv = 44,
  kHypervVapic = 45,
  kHypervSpin = 46,
  kPciSegment = 47,
  kIntrShadow = 49,
  kDebugregs = 50,
  kX86RobustSinglestep = 51,
  kEnableCap = 54,
  kXsave = 55,
  kXcrs = 56,
  kAsyncPf = 59,
  kTscControl = 60,
  kGetTscKhz = 61,
  kMaxVcpus = 66,
  kOneReg = 70,
  kTscDeadlineTimer = 72,
  kSyncRegs = 74,
  kKvmclockCtrl = 76,
  kSignalMsi = 77,
  kReadonlyMem = 81,
  kIrqfdResample = 82,
  kArmPsci = 87,
  kArmSetDeviceAddr = 88,
  kDeviceCtrl = 89,
  kArmEl132bit = 93,
  kExtEmulCpuid = 95,
  kHypervTime = 96,
  kIoapicPolarityIgnored = 97,
  kEnableCapVm = 98,
  kIoeventfdNoLength = 100,
  kVmAttributes = 101,
  kArmPsci02 = 102,
  kCheckExtensionVm = 105,
  kDisableQuirks = 116,
  kX86Smm = 117,
  kMultiAddressSpace = 118,
  kGuestDebugHwBps = 119,
  kGuestDebugHwWps = 120,
  kSplitIrqchip = 121,
  kIoeventfdAnyLength = 122,
  kHypervSynic = 123,
  kArmPmuV3 = 126,
  kVcpuAttributes = 127,
  kMaxVcpuId = 128,
  kX2apicApi = 129,
  kMsiDevid = 131,
  kImmediateExit = 136,
  kX86DisableExits = 143,
  kArmUserIrq = 144,
  kHypervSynic2 = 148,
  kHypervVpIndex = 149,
  kGetMsrFeatures = 153,
  kHypervEventfd = 154,
  kHypervTlbflush = 155,
  kNestedState = 157,
  kArmInjectSerrorEsr = 158,
  kMsrPlatformInfo = 159,
  kHypervSendIpi = 161,
  kCoalescedPio = 162,
  kHypervEnlightenedVmcs = 163,
  kExceptionPayload = 164,
  kArmVmIpaSize = 165,
  kManualDirtyLogProtect = 166,
  kHypervCpuid = 167,
  kManualDirtyLogProtect2 = 168,
  kArmSve = 170,
  kArmPtrauthAddress = 171,
  kArmPtrauthGeneric = 172,
  kPmuEventFilter = 173,
  kArmIrqLineLayout2 = 174,
  kHypervDirectTlbflush = 175,
  kArmNisvToUser = 177,
  kArmInjectExtDabt = 178,
  kHaltPoll = 182,
  kAsyncPfInt = 183,
  kSmallerMaxphyaddr = 185,
  kStealTime = 187,
  kX86UserSpaceMsr = 188,
  kX86MsrFilter = 189,
  kEnforcePvFeatureCpuid = 190,
  kSysHypervCpuid = 191,
  kDirtyLogRing = 192,
  kX86BusLockExit = 193,
  kSetGuestDebug2 = 195,
  kSgxAttribute = 196,
  kVmCopyEncContextFrom = 197,
  kPtpKvm = 198,
  kHypervEnforceCpuid = 199,
  kSregs2 = 200,
  kExitHypercall = 201,
  kBinaryStatsFd = 203,
  kExitOnEmulationFailure = 204,
  kArmMte = 205,
  kVmMoveEncContextFrom = 206,
  kVmGpaBits = 207,
  kXsave2 = 208,
  kSysAttributes = 209,
  kPmuCapability = 212,
  kDisableQuirks2 = 213,
  kVmTscControl = 214,
  kSystemEventData = 215,
  kArmSystemSuspend = 216,
  kX86TripleFaultEvent = 218,
  kX86NotifyVmexit = 219,
  kVmDisableNxHugePages = 220,
  kDirtyLogRingAcqRel = 223,
  kDirtyLogRingWithBitmap = 225,       ///< Linux 6.3
  kPmuEventMaskedEvents = 226,         ///< Linux 6.3
  kCounterOffset = 227,                ///< Linux 6.4
  kArmEagerSplitChunkSize = 228,       ///< Linux 6.5
  kArmSupportedBlockSizes = 229,       ///< Linux 6.5
  kArmSupportedRegMaskRanges = 230,    ///< Linux 6.7
  kUserMemory2 = 231,                  ///< Linux 6.8
  kMemoryFaultInfo = 232,              ///< Linux 6.8
  kMemoryAttributes = 233,             ///< Linux 6.8
  kGuestMemfd = 234,                   ///< Linux 6.8
  kVmTypes = 235,                      ///< Linux 6.8
  kPreFaultMemory = 236,               ///< Linux 6.11
  kX86ApicBusCyclesNs = 237,           ///< Linux 6.11
  kX86GuestMode = 238,                 ///< Linux 6.12
  kArmWritableImpIdRegs = 239,         ///< Linux 6.15
  kArmEl2 = 240,                       ///< Linux 6.16
  kArmEl2E2h0 = 241,                   ///< Linux 6.16
  kRiscvMpStateReset = 242,            ///< Linux 6.16
  kArmCacheablePfnmapSupported = 243,  ///< Linux 6.17
  kGuestMemfdFlags = 244,              ///< Linux 6.18
  kArmSeaToUser = 245,                 ///< Linux 6.19
};

/// struct kvm_enable_cap.
struct EnableCap {
  Cap cap{};                   ///< what to enable
  std::uint32_t flags = 0;     ///< none is defined: 0
  std::uint64_t args[4] = {};  ///< meaning by capability, in its section of api.rst
  std::uint8_t pad[64] = {};   ///< zero
};

}  // namespace vmm::kvm_ioctls
