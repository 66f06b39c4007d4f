// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// State and settings of an x86_64 VM as a whole, in the layout of the kernel's structures where
// the struct says so. Available on every host.

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace vmm::kvm_ioctls {

/// struct kvm_pic_state.
struct PicState {
  /// @{
  /// The registers and the state of the sequencer of an 8259A.
  std::uint8_t last_irr, irr, imr, isr;
  std::uint8_t priority_add, irq_base, read_reg_select, poll;
  std::uint8_t special_mask, init_state, auto_eoi, rotate_on_auto_eoi;
  std::uint8_t special_fully_nested_mode, init4, elcr, elcr_mask;
  /// @}
};

/// struct kvm_ioapic_state; `redirection` holds the registers of the chip's specification.
struct IoapicState {
  /// @{
  /// The chip's own registers (82093AA), after the address that KVM decodes.
  std::uint64_t base_address;
  std::uint32_t ioregsel;
  std::uint32_t id;
  std::uint32_t irr;
  std::uint32_t pad;
  std::uint64_t redirection[24];
  /// @}
};

/// struct kvm_irqchip: which chip, and its state.
struct IrqChip {
  /// @{
  /// KVM_IRQCHIP_*. Values of `id`.
  static constexpr std::uint32_t kPicMaster = 0;
  static constexpr std::uint32_t kPicSlave = 1;
  static constexpr std::uint32_t kIoapic = 2;
  /// @}

  std::uint32_t id = 0;   ///< which member of the union counts
  std::uint32_t pad = 0;  ///< zero
  union {
    std::uint8_t bytes[512] = {};
    PicState pic;
    IoapicState ioapic;
  };
};

/// struct kvm_pit_state2.
struct PitState {
  /// The state of one of the 8254's three counters, named as in the kernel.
  struct Channel {
    std::uint32_t count;  ///< may be 65536
    /// @{
    /// The chip's latches and modes.
    std::uint16_t latched_count;
    std::uint8_t count_latched, status_latched, status, read_state, write_state, write_latch;
    std::uint8_t rw_mode, mode, bcd, gate;
    /// @}
    std::int64_t count_load_time;  ///< ns
  };
  Channel channels[3];        ///< channel 0 is the timer, 2 the speaker
  std::uint32_t flags;        ///< KVM_PIT_FLAGS_*: HPET legacy, speaker data on
  std::uint32_t reserved[9];  ///< zero
};

/// struct kvm_clock_data: the guest's kvmclock, and with Linux 5.16 the host's clocks it goes with.
struct ClockData {
  /// @{
  /// KVM_CLOCK_*. Bits of `flags`: all vCPUs agree on `clock`; `realtime` counts; `host_tsc`
  /// counts.
  static constexpr std::uint32_t kTscStable = 2;
  static constexpr std::uint32_t kRealtime = 4;
  static constexpr std::uint32_t kHostTsc = 8;
  /// @}

  std::uint64_t clock;     ///< ns
  std::uint32_t flags;     ///< the bits above; set_clock() looks at kRealtime only
  std::uint32_t pad0;      ///< zero
  std::uint64_t realtime;  ///< ns since 1970
  std::uint64_t host_tsc;  ///< TSC ticks
  std::uint32_t pad[4];    ///< zero
};

/// A run of MSRs and what the guest may do with each.
struct MsrFilterRange {
  /// @{
  /// KVM_MSR_FILTER_*. Bits of `flags`.
  static constexpr std::uint32_t kRead = 1;
  static constexpr std::uint32_t kWrite = 2;
  /// @}

  std::uint32_t flags = 0;  ///< to which accesses the bitmap applies
  /// @{
  /// The MSRs [base, base + count).
  std::uint32_t base = 0;
  std::uint32_t count = 0;
  /// @}
  std::span<const std::uint8_t> allowed{};  ///< one bit an MSR, the lowest first; 0 denies
};

/// Which MSR accesses reach KVM (KVM_X86_SET_MSR_FILTER): at most 16 ranges.
struct MsrFilter {
  static constexpr std::size_t kMaxRanges = 16;  ///< KVM_MSR_FILTER_MAX_RANGES

  /// @{
  /// What happens to an MSR in no range; and at most kMaxRanges ranges. All is borrowed for the
  /// call.
  bool default_deny = false;
  std::span<const MsrFilterRange> ranges{};
  /// @}
};

/// Which performance events a guest may count (struct kvm_pmu_event_filter).
struct PmuEventFilter {
  bool deny = false;  ///< the events are those denied, instead of those allowed
  std::uint32_t fixed_counter_bitmap = 0;   ///< bit n: fixed counter n
  std::uint32_t flags = 0;                  ///< 0, or KVM_PMU_EVENT_FLAG_MASKED_EVENTS
  std::span<const std::uint64_t> events{};  ///< at most 300
};

/// struct kvm_xen_hvm_config: how Xen's hypercalls are offered.
struct XenConfig {
  std::uint32_t flags = 0;  ///< KVM_XEN_HVM_CONFIG_*
  std::uint32_t msr = 0;    ///< that the guest writes its hypercall page's address to
  /// @{
  /// Without interception: the hypercall pages in this process's memory and their sizes in pages,
  /// for 32-bit and 64-bit guests.
  std::uint64_t blob_addr_32 = 0;
  std::uint64_t blob_addr_64 = 0;
  std::uint8_t blob_size_32 = 0;
  std::uint8_t blob_size_64 = 0;
  /// @}
  std::uint8_t pad[30] = {};  ///< zero
};

/// struct kvm_xen_hvm_attr and kvm_xen_vcpu_attr: a type, and 64 bytes of its value.
struct XenAttr {
  std::uint16_t type = 0;       ///< KVM_XEN_ATTR_TYPE_* or KVM_XEN_VCPU_ATTR_TYPE_*
  std::uint16_t pad[3] = {};    ///< zero
  std::uint64_t value[8] = {};  ///< union `u`: by type
};

}  // namespace vmm::kvm_ioctls
