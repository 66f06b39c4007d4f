// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <sys/mman.h>

#include <catch2/catch.hpp>
#include <cerrno>

#include "errors.h"
#include "vmm/arch/x86_64/kvm/cpuid.h"
#include "vmm/arch/x86_64/kvm/error.h"
#include "vmm/arch/x86_64/kvm/vcpu.h"
#include "vmm/arch/x86_64/kvm/vm.h"

namespace vmm::arch::x86_64::kvm {
namespace {

TEST_CASE("a segment keeps every part of it") {
  const auto s = to_kvm(Segment{.base = 0x1000,
                                .limit = 0xffffffff,
                                .selector = 0x10,
                                .type = 11,
                                .present = true,
                                .dpl = 3,
                                .db = true,
                                .s = true,
                                .l = false,
                                .granularity = true,
                                .avl = true,
                                .unusable = false});
  CHECK((s.base == 0x1000 && s.limit == 0xffffffff && s.selector == 0x10 && s.type == 11));
  CHECK((s.present == 1 && s.dpl == 3 && s.db == 1 && s.s == 1 && s.l == 0 && s.g == 1));
  CHECK((s.avl == 1 && s.unusable == 0));
  const auto other = to_kvm(Segment{.l = true, .unusable = true});
  CHECK((other.l == 1 && other.unusable == 1 && other.present == 0 && other.db == 0));
}

TEST_CASE("general registers keep their places") {
  Regs regs;
  std::uint64_t value = 1;
  for (std::uint64_t* r : {&regs.rax, &regs.rbx, &regs.rcx, &regs.rdx, &regs.rsi, &regs.rdi,
                           &regs.rsp, &regs.rbp, &regs.r8, &regs.r9, &regs.r10, &regs.r11,
                           &regs.r12, &regs.r13, &regs.r14, &regs.r15, &regs.rip, &regs.rflags}) {
    *r = value++;
  }
  const auto to = to_kvm(regs);
  value = 1;
  for (const std::uint64_t r :
       {to.rax, to.rbx, to.rcx, to.rdx, to.rsi, to.rdi, to.rsp, to.rbp, to.r8, to.r9, to.r10,
        to.r11, to.r12, to.r13, to.r14, to.r15, to.rip, to.rflags}) {
    CHECK(r == value++);
  }
}

TEST_CASE("what boot does not decide stays as KVM made it") {
  kvm_ioctls::Sregs now{};
  now.apic_base = 0xfee00900;
  now.cr2 = 5;
  now.cr8 = 6;
  now.interrupt_bitmap[1] = 7;
  const BootRegisters boot = linux64_registers(GuestAddress(0x1000200));
  const auto to = to_kvm(boot.sregs, now);
  CHECK((to.apic_base == 0xfee00900 && to.cr2 == 5 && to.cr8 == 6));
  CHECK(to.interrupt_bitmap[1] == 7);
  CHECK((to.cr0 == boot.sregs.cr0 && to.cr3 == boot.sregs.cr3 && to.cr4 == boot.sregs.cr4));
  CHECK((to.efer == boot.sregs.efer && to.gdt.base == boot.sregs.gdt.base));
  CHECK((to.gdt.limit == boot.sregs.gdt.limit && to.cs.l == 1 && to.tr.type == 11));
  kvm_ioctls::Fpu fpu{};
  fpu.xmm[0][0] = 9;
  CHECK(to_kvm(Fpu{}, fpu).xmm[0][0] == 9);
  CHECK(to_kvm(Fpu{}, fpu).fcw == 0x37f);
  CHECK(to_kvm(Fpu{}, fpu).mxcsr == 0x1f80);
}

TEST_CASE("every error of the library reads as a sentence") {
  check_words(SetupError::kMsrRefused);
}

#if defined(__x86_64__)

kvm_ioctls::Vcpu closed_vcpu() {
  auto page = sys_util::Mapping::create(
      12288, {.protection = PROT_READ | PROT_WRITE, .flags = MAP_PRIVATE | MAP_ANONYMOUS});
  REQUIRE(page);
  auto vcpu = kvm_ioctls::Vcpu::adopt({.fd = UniqueFd(), .run = std::move(*page)});
  REQUIRE(vcpu);
  return std::move(*vcpu);
}

TEST_CASE("more entries than KVM takes are refused before the ioctl", "[hostile]") {
  const kvm_ioctls::Vcpu vcpu = closed_vcpu();
  const std::vector<CpuidEntry> cpuid(257);
  CHECK(set_cpuid(vcpu, cpuid).error().code() ==
        static_cast<int>(SetupError::kTooManyCpuidEntries));
  CHECK(set_cpuid(vcpu, std::span(cpuid).first(256)).error().is_os(EBADF));
  const std::vector<Msr> msrs(257);
  CHECK(set_msrs(vcpu, msrs).error().code() == static_cast<int>(SetupError::kTooManyMsrs));
  CHECK(set_msrs(vcpu, std::span(msrs).first(256)).error().is_os(EBADF));
}

TEST_CASE("settings that contradict each other are refused before the ioctls") {
  const auto vm = kvm_ioctls::Vm::adopt(UniqueFd(), 12288);
  CHECK(set_up_vm(vm, {.irqchip = Irqchip::kSplit, .pit = true}).error().is_os(EINVAL));
  CHECK(set_up_vm(vm, {.irqchip = Irqchip::kNone, .wide_apic_ids = true}).error().is_os(EINVAL));
  CHECK(set_up_vm(vm).error().is_os(EBADF));
}

#endif

}  // namespace
}  // namespace vmm::arch::x86_64::kvm
