// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/x86_64/kvm/vcpu.h"

#include "vmm/arch/x86_64/kvm/error.h"
#include "vmm/arch/x86_64/lapic.h"

namespace vmm::arch::x86_64::kvm {

namespace {

std::uint8_t bit(bool value) { return value ? 1 : 0; }

kvm_ioctls::DescriptorTable to_kvm(const DescriptorTable& table) {
  return {.base = table.base, .limit = table.limit, .padding = {}};
}

}  // namespace

kvm_ioctls::Regs to_kvm(const Regs& r) {
  return {.rax = r.rax,
          .rbx = r.rbx,
          .rcx = r.rcx,
          .rdx = r.rdx,
          .rsi = r.rsi,
          .rdi = r.rdi,
          .rsp = r.rsp,
          .rbp = r.rbp,
          .r8 = r.r8,
          .r9 = r.r9,
          .r10 = r.r10,
          .r11 = r.r11,
          .r12 = r.r12,
          .r13 = r.r13,
          .r14 = r.r14,
          .r15 = r.r15,
          .rip = r.rip,
          .rflags = r.rflags};
}

kvm_ioctls::Segment to_kvm(const Segment& s) {
  return {.base = s.base,
          .limit = s.limit,
          .selector = s.selector,
          .type = s.type,
          .present = bit(s.present),
          .dpl = s.dpl,
          .db = bit(s.db),
          .s = bit(s.s),
          .l = bit(s.l),
          .g = bit(s.granularity),
          .avl = bit(s.avl),
          .unusable = bit(s.unusable),
          .padding = 0};
}

kvm_ioctls::Sregs to_kvm(const Sregs& sregs, const kvm_ioctls::Sregs& now) {
  kvm_ioctls::Sregs to = now;
  to.cs = to_kvm(sregs.cs);
  to.ds = to_kvm(sregs.ds);
  to.es = to_kvm(sregs.es);
  to.fs = to_kvm(sregs.fs);
  to.gs = to_kvm(sregs.gs);
  to.ss = to_kvm(sregs.ss);
  to.tr = to_kvm(sregs.tr);
  to.ldt = to_kvm(sregs.ldt);
  to.gdt = to_kvm(sregs.gdt);
  to.idt = to_kvm(sregs.idt);
  to.cr0 = sregs.cr0;
  to.cr3 = sregs.cr3;
  to.cr4 = sregs.cr4;
  to.efer = sregs.efer;
  return to;
}

kvm_ioctls::Fpu to_kvm(const Fpu& fpu, const kvm_ioctls::Fpu& now) {
  kvm_ioctls::Fpu to = now;
  to.fcw = fpu.fcw;
  to.mxcsr = fpu.mxcsr;
  return to;
}

std::vector<CpuidEntry> from_kvm(const kvm_ioctls::CpuidList& list) {
  std::vector<CpuidEntry> entries;
  entries.reserve(list.size() + 4);  // configure_cpuid() may add a few
  for (const kvm_ioctls::CpuidEntry& e : list) {
    entries.push_back({.function = e.function,
                       .index = e.index,
                       .flags = e.flags,
                       .eax = e.eax,
                       .ebx = e.ebx,
                       .ecx = e.ecx,
                       .edx = e.edx});
  }
  return entries;
}

#if defined(__x86_64__)

Result<void> set_cpuid(const kvm_ioctls::Vcpu& vcpu, std::span<const CpuidEntry> entries) {
  kvm_ioctls::CpuidList list;
  for (const CpuidEntry& e : entries) {
    const kvm_ioctls::CpuidEntry entry{.function = e.function,
                                       .index = e.index,
                                       .flags = e.flags,
                                       .eax = e.eax,
                                       .ebx = e.ebx,
                                       .ecx = e.ecx,
                                       .edx = e.edx,
                                       .padding = {}};
    if (!list.push_back(entry)) return fail(SetupError::kTooManyCpuidEntries);
  }
  return vcpu.set_cpuid2(list);
}

Result<void> set_fpu(const kvm_ioctls::Vcpu& vcpu, const Fpu& fpu) {
  VMM_TRY(const auto now, vcpu.get_fpu());
  return vcpu.set_fpu(to_kvm(fpu, now));
}

Result<void> set_registers(const kvm_ioctls::Vcpu& vcpu, const BootRegisters& registers) {
  VMM_TRY(const auto sregs, vcpu.get_sregs());
  VMM_TRY_DO(vcpu.set_sregs(to_kvm(registers.sregs, sregs)));
  VMM_TRY_DO(set_fpu(vcpu, registers.fpu));
  return vcpu.set_regs(to_kvm(registers.regs));
}

Result<void> set_msrs(const kvm_ioctls::Vcpu& vcpu, std::span<const Msr> msrs) {
  kvm_ioctls::MsrList list;
  for (const Msr& msr : msrs) {
    if (!list.push_back({.index = msr.index, .reserved = 0, .data = msr.value})) {
      return fail(SetupError::kTooManyMsrs);
    }
  }
  VMM_TRY(const std::size_t done, vcpu.set_msrs(list));
  if (done != msrs.size()) return fail(SetupError::kMsrRefused);
  return {};
}

Result<void> set_lints(const kvm_ioctls::Vcpu& vcpu) {
  VMM_TRY(auto lapic, vcpu.get_lapic());
  static_assert(sizeof(lapic.regs) == kLapicPageBytes);
  set_boot_lints(std::as_writable_bytes(std::span(lapic.regs)));
  return vcpu.set_lapic(lapic);
}

Result<void> set_up_vcpu(const kvm_ioctls::Vcpu& vcpu, const ApicIds& ids, const VcpuSetup& setup) {
  std::vector<CpuidEntry> cpuid(setup.cpuid.begin(), setup.cpuid.end());
  set_cpuid_apic_id(cpuid, ids, setup.index);
  VMM_TRY_DO(set_cpuid(vcpu, cpuid));
  VMM_TRY_DO(set_msrs(vcpu, boot_msrs()));
  VMM_TRY_DO(set_fpu(vcpu, Fpu{}));
  if (!setup.in_kernel_apic) return {};
  return set_lints(vcpu);
}

#endif

}  // namespace vmm::arch::x86_64::kvm
