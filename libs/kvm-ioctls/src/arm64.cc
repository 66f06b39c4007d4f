// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// What aarch64 VMs and vCPUs have beyond the others.

#include "vmm/kvm_ioctls/arm64_state.h"

#if defined(__aarch64__)

#include <cerrno>

#include "call.h"
#include "uapi_extra.h"
#include "vmm/kvm_ioctls/vcpu.h"
#include "vmm/kvm_ioctls/vm.h"

namespace vmm::kvm_ioctls {

Result<void> Vm::create_irqchip() const { return call(fd_.get(), VMM_IOCTL(KVM_CREATE_IRQCHIP)); }

Result<VcpuInit> Vm::preferred_target() const {
  VcpuInit init;
  VMM_TRY_DO(call(fd_.get(), VMM_IOCTL(KVM_ARM_PREFERRED_TARGET), static_cast<void*>(&init)));
  return init;
}

Result<void> Vm::set_counter_offset(std::uint64_t ticks) const {
  const uapi::CounterOffset offset{.counter_offset = ticks, .reserved = 0};
  return call(fd_.get(), VMM_IOCTL(KVM_ARM_SET_COUNTER_OFFSET), &offset);
}

Result<std::uint64_t> Vm::copy_mte_tags(const MteTags& tags) const {
  constexpr std::uint64_t kGranuleBytes = 16;
  const kvm_arm_copy_mte_tags request{
      .guest_ipa = tags.address.raw(),
      .length = tags.tags.size() * kGranuleBytes,
      .addr = tags.tags.data(),
      .flags = static_cast<__u64>(tags.to_guest ? KVM_ARM_TAGS_TO_GUEST : KVM_ARM_TAGS_FROM_GUEST),
      .reserved = {}};
  // The ioctl answers an int: longer copies are made in parts by the caller.
  VMM_TRY(const int bytes, sys_util::ioctl(fd_.get(), VMM_IOCTL(KVM_ARM_MTE_COPY_TAGS),
                                           static_cast<const void*>(&request)));
  return static_cast<std::uint64_t>(bytes);
}

Result<RegWritableMasks> Vm::reg_writable_masks() const {
  RegWritableMasks masks;
  uapi::RegMaskRange range{
      .addr = reinterpret_cast<std::uintptr_t>(masks.words().data()), .range = 0, .reserved = {}};
  VMM_TRY_DO(
      call(fd_.get(), VMM_IOCTL(KVM_ARM_GET_REG_WRITABLE_MASKS), static_cast<void*>(&range)));
  return masks;
}

Result<void> Vm::set_smccc_filter(const SmcccFilter& filter) const {
  uapi::SmcccFilter request{.base = filter.base,
                            .nr_functions = filter.count,
                            .action = static_cast<__u8>(filter.action),
                            .pad = {}};
  return set_attr({.group = uapi::kSmcccControl, .attr = uapi::kSmcccFilter, .data = &request});
}

Result<void> Vcpu::init(const VcpuInit& init) const {
  return call(fd_.get(), VMM_IOCTL(KVM_ARM_VCPU_INIT), static_cast<const void*>(&init));
}

Result<void> Vcpu::finalize(std::int32_t feature) const {
  return call(fd_.get(), VMM_IOCTL(KVM_ARM_VCPU_FINALIZE), static_cast<const void*>(&feature));
}

Result<Arm64VcpuEvents> Vcpu::get_vcpu_events() const {
  return read<Arm64VcpuEvents>(fd_.get(), VMM_IOCTL(KVM_GET_VCPU_EVENTS));
}

Result<void> Vcpu::set_vcpu_events(const Arm64VcpuEvents& events) const {
  return call(fd_.get(), VMM_IOCTL(KVM_SET_VCPU_EVENTS), static_cast<const void*>(&events));
}

Result<void> Vcpu::set_guest_debug(const Arm64GuestDebug& debug) const {
  return call(fd_.get(), VMM_IOCTL(KVM_SET_GUEST_DEBUG), static_cast<const void*>(&debug));
}

}  // namespace vmm::kvm_ioctls

#endif
