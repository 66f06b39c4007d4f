// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The kernel's <linux/kvm.h>, usable from C++, and what this library needs beyond the headers of
// Linux 6.1. Each definition gives way to the header's own; the version is the kernel's that
// introduced it.

#include <linux/stddef.h>

// Up to Linux 6.6 this macro makes use of an empty structure, which has a byte in C++: the
// structures grow, and with them change the ioctl numbers that contain their sizes.
#undef __DECLARE_FLEX_ARRAY
#define __DECLARE_FLEX_ARRAY(TYPE, NAME) TYPE NAME[0]
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wpedantic"
#include <linux/kvm.h>
#pragma GCC diagnostic pop

#ifndef KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP
#define KVM_CAP_DIRTY_LOG_RING_WITH_BITMAP 225  // Linux 6.3
#endif
#ifndef KVM_CAP_PMU_EVENT_MASKED_EVENTS
#define KVM_CAP_PMU_EVENT_MASKED_EVENTS 226  // Linux 6.3
#endif
#ifndef KVM_CAP_COUNTER_OFFSET
#define KVM_CAP_COUNTER_OFFSET 227  // Linux 6.4
#endif
#ifndef KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE
#define KVM_CAP_ARM_EAGER_SPLIT_CHUNK_SIZE 228  // Linux 6.5
#endif
#ifndef KVM_CAP_ARM_SUPPORTED_BLOCK_SIZES
#define KVM_CAP_ARM_SUPPORTED_BLOCK_SIZES 229  // Linux 6.5
#endif
#ifndef KVM_CAP_ARM_SUPPORTED_REG_MASK_RANGES
#define KVM_CAP_ARM_SUPPORTED_REG_MASK_RANGES 230  // Linux 6.7
#endif
#ifndef KVM_CAP_USER_MEMORY2
#define KVM_CAP_USER_MEMORY2 231  // Linux 6.8
#endif
#ifndef KVM_CAP_MEMORY_FAULT_INFO
#define KVM_CAP_MEMORY_FAULT_INFO 232  // Linux 6.8
#endif
#ifndef KVM_CAP_MEMORY_ATTRIBUTES
#define KVM_CAP_MEMORY_ATTRIBUTES 233  // Linux 6.8
#endif
#ifndef KVM_CAP_GUEST_MEMFD
#define KVM_CAP_GUEST_MEMFD 234  // Linux 6.8
#endif
#ifndef KVM_CAP_VM_TYPES
#define KVM_CAP_VM_TYPES 235  // Linux 6.8
#endif
#ifndef KVM_CAP_PRE_FAULT_MEMORY
#define KVM_CAP_PRE_FAULT_MEMORY 236  // Linux 6.11
#endif
#ifndef KVM_CAP_X86_APIC_BUS_CYCLES_NS
#define KVM_CAP_X86_APIC_BUS_CYCLES_NS 237  // Linux 6.11
#endif
#ifndef KVM_CAP_X86_GUEST_MODE
#define KVM_CAP_X86_GUEST_MODE 238  // Linux 6.12
#endif
#ifndef KVM_CAP_ARM_WRITABLE_IMP_ID_REGS
#define KVM_CAP_ARM_WRITABLE_IMP_ID_REGS 239  // Linux 6.15
#endif
#ifndef KVM_CAP_ARM_EL2
#define KVM_CAP_ARM_EL2 240  // Linux 6.16
#endif
#ifndef KVM_CAP_ARM_EL2_E2H0
#define KVM_CAP_ARM_EL2_E2H0 241  // Linux 6.16
#endif
#ifndef KVM_CAP_RISCV_MP_STATE_RESET
#define KVM_CAP_RISCV_MP_STATE_RESET 242  // Linux 6.16
#endif
#ifndef KVM_CAP_ARM_CACHEABLE_PFNMAP_SUPPORTED
#define KVM_CAP_ARM_CACHEABLE_PFNMAP_SUPPORTED 243  // Linux 6.17
#endif
#ifndef KVM_CAP_GUEST_MEMFD_FLAGS
#define KVM_CAP_GUEST_MEMFD_FLAGS 244  // Linux 6.18
#endif
#ifndef KVM_CAP_ARM_SEA_TO_USER
#define KVM_CAP_ARM_SEA_TO_USER 245  // Linux 6.19
#endif

#ifndef KVM_EXIT_LOONGARCH_IOCSR
#define KVM_EXIT_LOONGARCH_IOCSR 38  // Linux 6.10
#endif
#ifndef KVM_EXIT_MEMORY_FAULT
#define KVM_EXIT_MEMORY_FAULT 39  // Linux 6.8
#endif
#ifndef KVM_EXIT_TDX
#define KVM_EXIT_TDX 40  // Linux 6.16
#endif
#ifndef KVM_EXIT_ARM_SEA
#define KVM_EXIT_ARM_SEA 41  // Linux 6.19
#endif
#ifndef KVM_SYSTEM_EVENT_TDX_FATAL
#define KVM_SYSTEM_EVENT_TDX_FATAL 7  // Linux 6.16
#endif
#ifndef KVM_MEM_GUEST_MEMFD
#define KVM_MEM_GUEST_MEMFD (1UL << 2)  // Linux 6.8
#endif
#ifndef KVM_MEMORY_ATTRIBUTE_PRIVATE
#define KVM_MEMORY_ATTRIBUTE_PRIVATE (1ULL << 3)  // Linux 6.8
#endif

namespace vmm::kvm_ioctls::uapi {

// The exits' data that the header's struct kvm_run may lack; all begin where its union begins.
struct MemoryFaultData {  // Linux 6.8
  __u64 flags;
  __u64 gpa;
  __u64 size;
};
struct TdxData {  // Linux 6.16
  __u64 flags;
  __u64 number;
  __u64 result;
  __u64 words[5];
};
struct ArmSeaData {  // Linux 6.19
  __u64 flags;
  __u64 esr;
  __u64 gva;
  __u64 gpa;
};

struct UserspaceMemoryRegion2 {  // struct kvm_userspace_memory_region2, Linux 6.8
  __u32 slot;
  __u32 flags;
  __u64 guest_phys_addr;
  __u64 memory_size;
  __u64 userspace_addr;
  __u64 guest_memfd_offset;
  __u32 guest_memfd;
  __u32 pad1;
  __u64 pad2[14];
};
struct CreateGuestMemfd {  // struct kvm_create_guest_memfd, Linux 6.8
  __u64 size;
  __u64 flags;
  __u64 reserved[6];
};
struct MemoryAttributes {  // struct kvm_memory_attributes, Linux 6.8
  __u64 address;
  __u64 size;
  __u64 attributes;
  __u64 flags;
};
struct PreFaultMemory {  // struct kvm_pre_fault_memory, Linux 6.11
  __u64 gpa;
  __u64 size;
  __u64 flags;
  __u64 padding[5];
};
struct RegMaskRange {  // struct reg_mask_range, Linux 6.7
  __u64 addr;
  __u32 range;
  __u32 reserved[13];
};
struct SmcccFilter {  // struct kvm_smccc_filter, Linux 6.4
  __u32 base;
  __u32 nr_functions;
  __u8 action;
  __u8 pad[15];
};
inline constexpr __u32 kSmcccControl = 0;  // KVM_ARM_VM_SMCCC_CTRL, Linux 6.4
inline constexpr __u64 kSmcccFilter = 0;   // KVM_ARM_VM_SMCCC_FILTER, Linux 6.4
struct CounterOffset {                     // struct kvm_arm_counter_offset, Linux 6.4
  __u64 counter_offset;
  __u64 reserved;
};

}  // namespace vmm::kvm_ioctls::uapi

#ifndef KVM_SET_USER_MEMORY_REGION2
#define KVM_SET_USER_MEMORY_REGION2 \
  _IOW(KVMIO, 0x49, struct vmm::kvm_ioctls::uapi::UserspaceMemoryRegion2)
#endif
#ifndef KVM_ARM_SET_COUNTER_OFFSET
#define KVM_ARM_SET_COUNTER_OFFSET _IOW(KVMIO, 0xb5, struct vmm::kvm_ioctls::uapi::CounterOffset)
#endif
#ifndef KVM_ARM_GET_REG_WRITABLE_MASKS
#define KVM_ARM_GET_REG_WRITABLE_MASKS _IOR(KVMIO, 0xb6, struct vmm::kvm_ioctls::uapi::RegMaskRange)
#endif
#ifndef KVM_SET_MEMORY_ATTRIBUTES
#define KVM_SET_MEMORY_ATTRIBUTES _IOW(KVMIO, 0xd2, struct vmm::kvm_ioctls::uapi::MemoryAttributes)
#endif
#ifndef KVM_CREATE_GUEST_MEMFD
#define KVM_CREATE_GUEST_MEMFD _IOWR(KVMIO, 0xd4, struct vmm::kvm_ioctls::uapi::CreateGuestMemfd)
#endif
#ifndef KVM_PRE_FAULT_MEMORY
#define KVM_PRE_FAULT_MEMORY _IOWR(KVMIO, 0xd5, struct vmm::kvm_ioctls::uapi::PreFaultMemory)
#endif
