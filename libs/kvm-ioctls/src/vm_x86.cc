// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/kvm_ioctls/vm.h"

#if defined(__x86_64__)

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "call.h"
#include "uapi_extra.h"

namespace vmm::kvm_ioctls {

std::size_t Vm::xsave_bytes() const {
  const auto answer = check_extension(Cap::kXsave2);
  return answer && *answer > 0 ? std::max<std::size_t>(static_cast<std::size_t>(*answer), 4096)
                               : 4096;
}

Result<void> Vm::create_irqchip() const { return call(fd_.get(), VMM_IOCTL(KVM_CREATE_IRQCHIP)); }

Result<void> Vm::enable_split_irqchip(std::uint32_t ioapic_pins) const {
  EnableCap request{.cap = Cap::kSplitIrqchip};
  request.args[0] = ioapic_pins;
  return enable_cap(request);
}

Result<void> Vm::get_irqchip(IrqChip& chip) const {
  return call(fd_.get(), VMM_IOCTL(KVM_GET_IRQCHIP), static_cast<void*>(&chip));
}

Result<void> Vm::set_irqchip(const IrqChip& chip) const {
  return call(fd_.get(), VMM_IOCTL(KVM_SET_IRQCHIP), &chip);
}

Result<void> Vm::create_pit(bool speaker_dummy) const {
  const kvm_pit_config config{.flags = speaker_dummy ? KVM_PIT_SPEAKER_DUMMY : 0u, .pad = {}};
  return call(fd_.get(), VMM_IOCTL(KVM_CREATE_PIT2), &config);
}

Result<PitState> Vm::get_pit() const { return read<PitState>(fd_.get(), VMM_IOCTL(KVM_GET_PIT2)); }

Result<void> Vm::set_pit(const PitState& state) const {
  return call(fd_.get(), VMM_IOCTL(KVM_SET_PIT2), &state);
}

Result<void> Vm::set_pit_reinject(bool on) const {
  const kvm_reinject_control control{.pit_reinject = on ? std::uint8_t{1} : std::uint8_t{0},
                                     .reserved = {}};
  return call(fd_.get(), VMM_IOCTL(KVM_REINJECT_CONTROL), &control);
}

Result<ClockData> Vm::get_clock() const {
  return read<ClockData>(fd_.get(), VMM_IOCTL(KVM_GET_CLOCK));
}

Result<void> Vm::set_clock(const ClockData& clock) const {
  return call(fd_.get(), VMM_IOCTL(KVM_SET_CLOCK), &clock);
}

Result<void> Vm::set_tss_address(GuestAddress address) const {
  return call(fd_.get(), VMM_IOCTL(KVM_SET_TSS_ADDR), address.raw());
}

Result<void> Vm::set_identity_map_address(GuestAddress address) const {
  const std::uint64_t raw = address.raw();
  return call(fd_.get(), VMM_IOCTL(KVM_SET_IDENTITY_MAP_ADDR), &raw);
}

Result<void> Vm::set_boot_cpu_id(std::uint32_t id) const {
  return call(fd_.get(), VMM_IOCTL(KVM_SET_BOOT_CPU_ID), id);
}

Result<void> Vm::set_tsc_khz(std::uint32_t khz) const {
  return call(fd_.get(), VMM_IOCTL(KVM_SET_TSC_KHZ), khz);
}

Result<std::uint32_t> Vm::tsc_khz() const {
  VMM_TRY(const int khz, sys_util::ioctl(fd_.get(), VMM_IOCTL(KVM_GET_TSC_KHZ)));
  return static_cast<std::uint32_t>(khz);
}

Result<void> Vm::set_msr_filter(const MsrFilter& filter) const {
  kvm_msr_filter raw{};
  if (filter.ranges.size() > MsrFilter::kMaxRanges) {
    return fail(Error::os(EINVAL, "KVM_X86_SET_MSR_FILTER"));
  }
  raw.flags = filter.default_deny ? KVM_MSR_FILTER_DEFAULT_DENY : KVM_MSR_FILTER_DEFAULT_ALLOW;
  kvm_msr_filter_range* to = raw.ranges;
  for (const MsrFilterRange& range : filter.ranges) {
    if (range.allowed.size() < (std::uint64_t{range.count} + 7) / 8) {
      return fail(Error::os(EINVAL, "KVM_X86_SET_MSR_FILTER"));
    }
    to->flags = range.flags;
    to->nmsrs = range.count;
    to->base = range.base;
    // Only read by KVM, although the structure's pointer is not const.
    to->bitmap = const_cast<std::uint8_t*>(range.allowed.data());
    ++to;
  }
  return call(fd_.get(), VMM_IOCTL(KVM_X86_SET_MSR_FILTER), &raw);
}

Result<void> Vm::set_pmu_event_filter(const PmuEventFilter& filter) const {
  constexpr std::size_t kMaxEvents = 300;
  if (filter.events.size() > kMaxEvents) return fail(Error::os(E2BIG, "KVM_SET_PMU_EVENT_FILTER"));
  static_assert(sizeof(kvm_pmu_event_filter) == 32);
  std::vector<std::uint64_t> raw(4 + filter.events.size());
  kvm_pmu_event_filter header{};
  header.action = filter.deny ? KVM_PMU_EVENT_DENY : KVM_PMU_EVENT_ALLOW;
  header.nevents = static_cast<std::uint32_t>(filter.events.size());
  header.fixed_counter_bitmap = filter.fixed_counter_bitmap;
  header.flags = filter.flags;
  std::memcpy(raw.data(), &header, sizeof(header));
  if (!filter.events.empty()) {
    std::memcpy(&raw[4], filter.events.data(), filter.events.size_bytes());
  }
  return call(fd_.get(), VMM_IOCTL(KVM_SET_PMU_EVENT_FILTER), static_cast<const void*>(raw.data()));
}

Result<void> Vm::set_xen_config(const XenConfig& config) const {
  return call(fd_.get(), VMM_IOCTL(KVM_XEN_HVM_CONFIG), &config);
}

Result<void> Vm::get_xen_attr(XenAttr& attr) const {
  return call(fd_.get(), VMM_IOCTL(KVM_XEN_HVM_GET_ATTR), static_cast<void*>(&attr));
}

Result<void> Vm::set_xen_attr(const XenAttr& attr) const {
  return call(fd_.get(), VMM_IOCTL(KVM_XEN_HVM_SET_ATTR), &attr);
}

Result<void> Vm::set_hyperv_eventfd(std::uint32_t connection, int eventfd) const {
  const kvm_hyperv_eventfd request{
      .conn_id = connection,
      .fd = eventfd,
      .flags = eventfd < 0 ? std::uint32_t{KVM_HYPERV_EVENTFD_DEASSIGN} : 0u,
      .padding = {}};
  return call(fd_.get(), VMM_IOCTL(KVM_HYPERV_EVENTFD), &request);
}

}  // namespace vmm::kvm_ioctls

#endif
