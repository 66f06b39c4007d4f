// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/kvm_ioctls/vcpu.h"

#if defined(__x86_64__)

#include <cerrno>
#include <cstring>

#include "call.h"
#include "uapi_extra.h"

namespace vmm::kvm_ioctls {

Result<Regs> Vcpu::get_regs() const { return read<Regs>(fd_.get(), VMM_IOCTL(KVM_GET_REGS)); }

Result<void> Vcpu::set_regs(const Regs& regs) const {
  return call(fd_.get(), VMM_IOCTL(KVM_SET_REGS), &regs);
}

Result<Sregs> Vcpu::get_sregs() const { return read<Sregs>(fd_.get(), VMM_IOCTL(KVM_GET_SREGS)); }

Result<void> Vcpu::set_sregs(const Sregs& sregs) const {
  return call(fd_.get(), VMM_IOCTL(KVM_SET_SREGS), &sregs);
}

Result<Sregs2> Vcpu::get_sregs2() const {
  return read<Sregs2>(fd_.get(), VMM_IOCTL(KVM_GET_SREGS2));
}

Result<void> Vcpu::set_sregs2(const Sregs2& sregs) const {
  return call(fd_.get(), VMM_IOCTL(KVM_SET_SREGS2), &sregs);
}

Result<Fpu> Vcpu::get_fpu() const { return read<Fpu>(fd_.get(), VMM_IOCTL(KVM_GET_FPU)); }

Result<void> Vcpu::set_fpu(const Fpu& fpu) const {
  return call(fd_.get(), VMM_IOCTL(KVM_SET_FPU), &fpu);
}

Result<void> Vcpu::set_cpuid2(const CpuidList& cpuid) const {
  return call(fd_.get(), VMM_IOCTL(KVM_SET_CPUID2), cpuid.raw());
}

Result<CpuidList> Vcpu::get_cpuid2(std::size_t max_entries) const {
  Result<CpuidList> list{std::in_place};
  if (!list->resize(max_entries)) {
    list = fail(Error::os(ENOMEM, "KVM_GET_CPUID2"));
    return list;
  }
  const auto answer = sys_util::ioctl(fd_.get(), VMM_IOCTL(KVM_GET_CPUID2), list->raw());
  if (!answer) {
    list = fail(answer.error());
    return list;
  }
  // Kernels before 6.3 leave the number as it was asked for, and the rest of the entries zero.
  const auto unused = [](const CpuidEntry& e) {
    return (e.function | e.index | e.flags | e.eax | e.ebx | e.ecx | e.edx) == 0;
  };
  while (!list->empty() && unused(*(list->end() - 1))) {
    if (!list->resize(list->size() - 1)) break;
  }
  return list;
}

Result<std::size_t> Vcpu::get_msrs(MsrList& msrs) const {
  VMM_TRY(const int count, sys_util::ioctl(fd_.get(), VMM_IOCTL(KVM_GET_MSRS), msrs.raw()));
  return static_cast<std::size_t>(count);
}

Result<std::size_t> Vcpu::set_msrs(const MsrList& msrs) const {
  VMM_TRY(const int count, sys_util::ioctl(fd_.get(), VMM_IOCTL(KVM_SET_MSRS), msrs.raw()));
  return static_cast<std::size_t>(count);
}

Result<Lapic> Vcpu::get_lapic() const { return read<Lapic>(fd_.get(), VMM_IOCTL(KVM_GET_LAPIC)); }

Result<void> Vcpu::set_lapic(const Lapic& lapic) const {
  return call(fd_.get(), VMM_IOCTL(KVM_SET_LAPIC), &lapic);
}

Result<VcpuEvents> Vcpu::get_vcpu_events() const {
  return read<VcpuEvents>(fd_.get(), VMM_IOCTL(KVM_GET_VCPU_EVENTS));
}

Result<void> Vcpu::set_vcpu_events(const VcpuEvents& events) const {
  return call(fd_.get(), VMM_IOCTL(KVM_SET_VCPU_EVENTS), &events);
}

Result<DebugRegs> Vcpu::get_debug_regs() const {
  return read<DebugRegs>(fd_.get(), VMM_IOCTL(KVM_GET_DEBUGREGS));
}

Result<void> Vcpu::set_debug_regs(const DebugRegs& regs) const {
  return call(fd_.get(), VMM_IOCTL(KVM_SET_DEBUGREGS), &regs);
}

Result<Xcrs> Vcpu::get_xcrs() const { return read<Xcrs>(fd_.get(), VMM_IOCTL(KVM_GET_XCRS)); }

Result<void> Vcpu::set_xcrs(const Xcrs& xcrs) const {
  return call(fd_.get(), VMM_IOCTL(KVM_SET_XCRS), &xcrs);
}

Result<Xsave> Vcpu::get_xsave() const { return read<Xsave>(fd_.get(), VMM_IOCTL(KVM_GET_XSAVE)); }

Result<std::vector<std::byte>> Vcpu::get_xsave2() const {
  std::vector<std::byte> state(xsave_bytes_);
  VMM_TRY_DO(call(fd_.get(), VMM_IOCTL(KVM_GET_XSAVE2), static_cast<void*>(state.data())));
  return state;
}

Result<void> Vcpu::set_xsave(std::span<const std::byte> state) const {
  if (state.size() < xsave_bytes_) return fail(Error::os(EINVAL, "KVM_SET_XSAVE"));
  return call(fd_.get(), VMM_IOCTL(KVM_SET_XSAVE), static_cast<const void*>(state.data()));
}

Result<std::optional<NestedState>> Vcpu::get_nested_state() const {
  NestedState state{};
  state.size = sizeof(state);
  VMM_TRY_DO(call(fd_.get(), VMM_IOCTL(KVM_GET_NESTED_STATE), static_cast<void*>(&state)));
  if (state.is_initial()) return std::optional<NestedState>();
  return std::optional<NestedState>(state);
}

Result<void> Vcpu::set_nested_state(const NestedState& state) const {
  if (state.size < NestedState::kHeaderBytes || state.size > sizeof(state)) {
    return fail(Error::os(EINVAL, "KVM_SET_NESTED_STATE"));
  }
  return call(fd_.get(), VMM_IOCTL(KVM_SET_NESTED_STATE), &state);
}

Result<std::uint32_t> Vcpu::tsc_khz() const {
  VMM_TRY(const int khz, sys_util::ioctl(fd_.get(), VMM_IOCTL(KVM_GET_TSC_KHZ)));
  return static_cast<std::uint32_t>(khz);
}

Result<void> Vcpu::set_tsc_khz(std::uint32_t khz) const {
  return call(fd_.get(), VMM_IOCTL(KVM_SET_TSC_KHZ), khz);
}

Result<void> Vcpu::set_guest_debug(const GuestDebug& debug) const {
  return call(fd_.get(), VMM_IOCTL(KVM_SET_GUEST_DEBUG), &debug);
}

Result<Translation> Vcpu::translate(std::uint64_t linear_address) const {
  Translation translation{};
  translation.linear_address = linear_address;
  VMM_TRY_DO(call(fd_.get(), VMM_IOCTL(KVM_TRANSLATE), static_cast<void*>(&translation)));
  return translation;
}

Result<void> Vcpu::inject_nmi() const { return call(fd_.get(), VMM_IOCTL(KVM_NMI)); }

Result<void> Vcpu::inject_smi() const { return call(fd_.get(), VMM_IOCTL(KVM_SMI)); }

Result<void> Vcpu::inject_interrupt(std::uint32_t vector) const {
  const kvm_interrupt interrupt{.irq = vector};
  return call(fd_.get(), VMM_IOCTL(KVM_INTERRUPT), &interrupt);
}

Result<void> Vcpu::notify_paused() const { return call(fd_.get(), VMM_IOCTL(KVM_KVMCLOCK_CTRL)); }

Result<void> Vcpu::setup_mce(std::uint64_t capabilities) const {
  return call(fd_.get(), VMM_IOCTL(KVM_X86_SETUP_MCE), &capabilities);
}

Result<void> Vcpu::inject_mce(const MachineCheck& mce) const {
  return call(fd_.get(), VMM_IOCTL(KVM_X86_SET_MCE), &mce);
}

Result<void> Vcpu::get_xen_attr(XenAttr& attr) const {
  return call(fd_.get(), VMM_IOCTL(KVM_XEN_VCPU_GET_ATTR), static_cast<void*>(&attr));
}

Result<void> Vcpu::set_xen_attr(const XenAttr& attr) const {
  return call(fd_.get(), VMM_IOCTL(KVM_XEN_VCPU_SET_ATTR), &attr);
}

namespace {

kvm_run& run_page(std::span<std::byte> page) { return *reinterpret_cast<kvm_run*>(page.data()); }

}  // namespace

void Vcpu::request_sync(std::uint64_t groups) noexcept { run_page(page_).kvm_valid_regs |= groups; }
void Vcpu::stop_sync(std::uint64_t groups) noexcept { run_page(page_).kvm_valid_regs &= ~groups; }
std::uint64_t Vcpu::requested_sync() const noexcept { return run_page(page_).kvm_valid_regs; }
void Vcpu::mark_sync_dirty(std::uint64_t groups) noexcept {
  run_page(page_).kvm_dirty_regs |= groups;
}
void Vcpu::clear_sync_dirty(std::uint64_t groups) noexcept {
  run_page(page_).kvm_dirty_regs &= ~groups;
}
std::uint64_t Vcpu::dirty_sync() const noexcept { return run_page(page_).kvm_dirty_regs; }

SyncState& Vcpu::sync_state() noexcept {
  return *reinterpret_cast<SyncState*>(page_.data() + offsetof(kvm_run, s));
}

std::uint16_t Vcpu::run_flags() const noexcept { return run_page(page_).flags; }

bool Vcpu::ready_for_interrupt() const noexcept {
  return run_page(page_).ready_for_interrupt_injection != 0;
}

void Vcpu::request_interrupt_window(bool on) noexcept {
  run_page(page_).request_interrupt_window = on ? 1 : 0;
}

}  // namespace vmm::kvm_ioctls

#endif
