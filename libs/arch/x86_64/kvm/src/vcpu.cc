// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/x86_64/kvm/vcpu.h"

#include <cerrno>

#include "vmm/arch/x86_64/lapic.h"

namespace vmm::arch::x86_64::kvm {
namespace {

kvm_ioctls::Regs to_kvm(const Regs& r) {
  return {.rax = r.rax,
          .rbx = r.rbx,
          .rcx = r.rcx,
          .rdx = r.rdx,  //
          .rsi = r.rsi,
          .rdi = r.rdi,
          .rsp = r.rsp,
          .rbp = r.rbp,  //
          .r8 = r.r8,
          .r9 = r.r9,
          .r10 = r.r10,
          .r11 = r.r11,  //
          .r12 = r.r12,
          .r13 = r.r13,
          .r14 = r.r14,
          .r15 = r.r15,  //
          .rip = r.rip,
          .rflags = r.rflags};
}

kvm_ioctls::Segment to_kvm(const Segment& s) {
  return {.base = s.base,
          .limit = s.limit,
          .selector = s.selector,
          .type = s.type,
          .present = s.present,
          .dpl = s.dpl,
          .db = s.db,
          .s = s.s,
          .l = s.l,
          .g = s.granularity,
          .avl = s.avl,
          .unusable = s.unusable,
          .padding = 0};
}

kvm_ioctls::DescriptorTable to_kvm(const DescriptorTable& t) {
  return {.base = t.base, .limit = t.limit, .padding = {}};
}

void merge(kvm_ioctls::Sregs& into, const Sregs& s) {
  into.cs = to_kvm(s.cs);
  into.ds = to_kvm(s.ds);
  into.es = to_kvm(s.es);
  into.fs = to_kvm(s.fs);
  into.gs = to_kvm(s.gs);
  into.ss = to_kvm(s.ss);
  into.tr = to_kvm(s.tr);
  into.ldt = to_kvm(s.ldt);
  into.gdt = to_kvm(s.gdt);
  into.idt = to_kvm(s.idt);
  into.cr0 = s.cr0;
  into.cr3 = s.cr3;
  into.cr4 = s.cr4;
  into.efer = s.efer;
}

}  // namespace

std::vector<CpuidEntry> from_kvm(const kvm_ioctls::CpuidList& list) {
  std::vector<CpuidEntry> entries;
  entries.reserve(list.size());
  for (const kvm_ioctls::CpuidEntry& e : list.entries()) {
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
    if (!list.push_back(entry)) return fail(Error::os(ENOMEM, "set CPUID"));
  }
  return vcpu.set_cpuid2(list);
}

Result<void> set_msrs(const kvm_ioctls::Vcpu& vcpu, std::span<const Msr> msrs) {
  kvm_ioctls::MsrList list;
  for (const Msr& msr : msrs) {
    const kvm_ioctls::MsrEntry entry{.index = msr.index, .reserved = 0, .data = msr.value};
    if (!list.push_back(entry)) return fail(Error::os(ENOMEM, "set MSRs"));
  }
  VMM_TRY(const std::size_t done, vcpu.set_msrs(list));
  if (done != msrs.size()) return fail(Error::os(EINVAL, "set MSRs"));
  return {};
}

Result<void> set_fpu(const kvm_ioctls::Vcpu& vcpu, const Fpu& fpu) {
  kvm_ioctls::Fpu state{};
  state.fcw = fpu.fcw;
  state.mxcsr = fpu.mxcsr;
  return vcpu.set_fpu(state);
}

Result<void> set_registers(const kvm_ioctls::Vcpu& vcpu, const BootRegisters& registers) {
  VMM_TRY_DO(set_fpu(vcpu, registers.fpu));
  VMM_TRY(kvm_ioctls::Sregs sregs, vcpu.get_sregs());
  merge(sregs, registers.sregs);
  VMM_TRY_DO(vcpu.set_sregs(sregs));
  return vcpu.set_regs(to_kvm(registers.regs));
}

Result<void> set_lints(const kvm_ioctls::Vcpu& vcpu) {
  VMM_TRY(kvm_ioctls::Lapic lapic, vcpu.get_lapic());
  set_boot_lints(std::as_writable_bytes(std::span(lapic.regs)));
  return vcpu.set_lapic(lapic);
}

}  // namespace vmm::arch::x86_64::kvm
