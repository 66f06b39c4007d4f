// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <catch2/catch.hpp>
#include <cstring>

#include "machine.h"

#if defined(__x86_64__)

namespace vmm::kvm_ioctls {
namespace {

using testing::Machine;
using testing::needs;

template <class T>
bool same(const T& a, const T& b) {
  return std::memcmp(&a, &b, sizeof(a)) == 0;
}

TEST_CASE("registers, system registers and FPU come back as they were set") {
  Machine machine;
  const Vcpu vcpu = *machine.vm.create_vcpu(0);
  Regs regs{};
  regs.rax = 0x1122334455667788;
  regs.r15 = 0x99;
  regs.rip = 0xfff0;
  regs.rflags = 2;
  REQUIRE(vcpu.set_regs(regs));
  CHECK(same(*vcpu.get_regs(), regs));
  Sregs sregs = *vcpu.get_sregs();
  sregs.gdt.base = 0x500;
  sregs.gdt.limit = 31;
  sregs.cr3 = 0x9000;
  REQUIRE(vcpu.set_sregs(sregs));
  CHECK(same(*vcpu.get_sregs(), sregs));
  Fpu fpu = *vcpu.get_fpu();
  fpu.fcw = 0x27f;
  fpu.xmm[3][5] = 0x42;
  REQUIRE(vcpu.set_fpu(fpu));
  CHECK(vcpu.get_fpu()->fcw == 0x27f);
  CHECK(vcpu.get_fpu()->xmm[3][5] == 0x42);
}

TEST_CASE("the second form of the system registers agrees with the first") {
  Machine machine;
  const Vcpu vcpu = *machine.vm.create_vcpu(0);
  if (!needs(machine.vm.has(Cap::kSregs2), "KVM_CAP_SREGS2")) return;
  Sregs2 sregs = *vcpu.get_sregs2();
  sregs.idt.limit = 0x123;
  REQUIRE(vcpu.set_sregs2(sregs));
  CHECK(vcpu.get_sregs()->idt.limit == 0x123);
  CHECK(same(*vcpu.get_sregs2(), sregs));
}

TEST_CASE("MSRs are set and read, and the number done is what counts") {
  Machine machine;
  const Vcpu vcpu = *machine.vm.create_vcpu(0);
  MsrList msrs;
  REQUIRE(msrs.push_back({.index = 0x174, .reserved = 0, .data = 0x10}));
  REQUIRE(msrs.push_back({.index = 0x175, .reserved = 0, .data = 0x20}));
  CHECK(*vcpu.set_msrs(msrs) == 2);
  for (MsrEntry& entry : msrs) entry.data = 0;
  CHECK(*vcpu.get_msrs(msrs) == 2);
  CHECK(msrs.entries()[0].data == 0x10);
  CHECK(msrs.entries()[1].data == 0x20);
  MsrList partly;
  REQUIRE(partly.push_back({.index = 0x174, .reserved = 0, .data = 0}));
  REQUIRE(partly.push_back({.index = 0x474f4f00, .reserved = 0, .data = 0}));
  REQUIRE(partly.push_back({.index = 0x175, .reserved = 0, .data = 0}));
  CHECK(*vcpu.get_msrs(partly) == 1);
}

TEST_CASE("a vCPU has a local APIC only with an in-kernel interrupt controller") {
  const System system = *System::open();
  const Vm without = *system.create_vm();
  CHECK_FALSE(without.create_vcpu(0)->get_lapic());
  const Vm with = *system.create_vm();
  REQUIRE(with.create_irqchip());
  const Vcpu vcpu = *with.create_vcpu(0);
  Lapic lapic = *vcpu.get_lapic();
  CHECK(lapic.set(Lapic::kIcrLow, 2));
  REQUIRE(vcpu.set_lapic(lapic));
  CHECK(vcpu.get_lapic()->get(Lapic::kIcrLow) == 2);
}

TEST_CASE("the multiprocessing state of a second vCPU waits for INIT") {
  const System system = *System::open();
  const Vm vm = *system.create_vm();
  REQUIRE(vm.create_irqchip());
  const Vcpu first = *vm.create_vcpu(0);
  const Vcpu second = *vm.create_vcpu(1);
  CHECK(*first.mp_state() == MpState::kRunnable);
  CHECK(*second.mp_state() == MpState::kUninitialized);
  REQUIRE(second.set_mp_state(MpState::kRunnable));
  CHECK(*second.mp_state() == MpState::kRunnable);
}

TEST_CASE("events, debug registers and extended control registers round-trip") {
  Machine machine;
  const Vcpu vcpu = *machine.vm.create_vcpu(0);
  VcpuEvents events = *vcpu.get_vcpu_events();
  events.nmi.masked = 1;
  REQUIRE(vcpu.set_vcpu_events(events));
  CHECK(vcpu.get_vcpu_events()->nmi.masked == 1);
  DebugRegs debug = *vcpu.get_debug_regs();
  debug.db[0] = 0x1000;
  REQUIRE(vcpu.set_debug_regs(debug));
  CHECK(vcpu.get_debug_regs()->db[0] == 0x1000);
  if (needs(machine.vm.has(Cap::kXcrs), "KVM_CAP_XCRS")) {
    const auto xcrs = vcpu.get_xcrs();
    REQUIRE(xcrs);
    CHECK(xcrs->nr_xcrs <= 16);
    CHECK(vcpu.set_xcrs(*xcrs));
  }
}

TEST_CASE("the extended state in its second form begins with the first") {
  Machine machine;
  const Vcpu vcpu = *machine.vm.create_vcpu(0);
  if (!needs(machine.vm.has(Cap::kXsave), "KVM_CAP_XSAVE")) return;
  const auto legacy = vcpu.get_xsave();
  REQUIRE(legacy);
  CHECK(machine.vm.xsave_bytes() >= 4096);
  if (!needs(machine.vm.has(Cap::kXsave2), "KVM_CAP_XSAVE2")) return;
  const auto state = vcpu.get_xsave2();
  REQUIRE(state);
  CHECK(state->size() == machine.vm.xsave_bytes());
  CHECK(std::memcmp(state->data(), &*legacy, sizeof(*legacy)) == 0);
  CHECK(vcpu.set_xsave(*state));
  CHECK(vcpu.set_xsave(std::span(*state).first(4095)).error().is_os(EINVAL));
}

TEST_CASE("the nested state is small, or absent, on a fresh vCPU") {
  Machine machine;
  const auto bytes = machine.vm.check_extension(Cap::kNestedState);
  if (!needs(bytes && *bytes > 0, "KVM_CAP_NESTED_STATE")) return;
  CHECK(*bytes <= static_cast<int>(sizeof(NestedState)));
  const Vcpu vcpu = *machine.vm.create_vcpu(0);
  const auto state = vcpu.get_nested_state();
  REQUIRE(state);
  if (!state->has_value()) return;
  CHECK((**state).size >= NestedState::kHeaderBytes);
  CHECK((**state).size <= sizeof(NestedState));
  CHECK(vcpu.set_nested_state(**state));
}

TEST_CASE("the TSC frequency can be read") {
  Machine machine;
  const Vcpu vcpu = *machine.vm.create_vcpu(0);
  if (!needs(machine.vm.has(Cap::kGetTscKhz), "KVM_CAP_GET_TSC_KHZ")) return;
  CHECK(*vcpu.tsc_khz() > 0);
  if (!needs(machine.vm.has(Cap::kTscControl), "KVM_CAP_TSC_CONTROL")) return;
  const std::uint32_t khz = *vcpu.tsc_khz();
  CHECK(vcpu.set_tsc_khz(khz));
}

TEST_CASE("addresses of a fresh vCPU translate to themselves, and beyond the bus to nothing") {
  Machine machine;
  const Vcpu vcpu = *machine.vm.create_vcpu(0);
  const Translation low = *vcpu.translate(0x10000);
  CHECK(low.valid == 1);
  CHECK(low.physical_address == 0x10000);
  const auto high = vcpu.translate(~std::uint64_t{0});
  REQUIRE(high);
  CHECK(high->valid == 0);
}

TEST_CASE("NMIs are queued, SMIs where KVM has them, and a pause can be announced") {
  Machine machine;
  const Vcpu vcpu = *machine.vm.create_vcpu(0);
  REQUIRE(vcpu.inject_nmi());
  if (needs(machine.vm.has(Cap::kX86Smm), "KVM_CAP_X86_SMM")) CHECK(vcpu.inject_smi());
  // The guest has no kvmclock yet.
  CHECK(vcpu.notify_paused().error().is_os(EINVAL));
  CHECK(vcpu.inject_interrupt(0x20));
  CHECK(vcpu.inject_interrupt(256).error().is_os(EINVAL));
}

TEST_CASE("a register id of another architecture, or none, is an error") {
  Machine machine;
  const Vcpu vcpu = *machine.vm.create_vcpu(0);
  std::byte value[8];
  CHECK_FALSE(vcpu.get_one_reg(RegId{0}, value));
  CHECK_FALSE(vcpu.set_one_reg(RegId{0}, value));
}

TEST_CASE("an MSR filter needs a range to deny by default") {
  Machine machine;
  if (!needs(machine.vm.has(Cap::kX86MsrFilter), "KVM_CAP_X86_MSR_FILTER")) return;
  CHECK(machine.vm.set_msr_filter({}));
  CHECK_FALSE(machine.vm.set_msr_filter({.default_deny = true}));
  const std::uint8_t bits[2] = {0xff, 0xff};
  const MsrFilterRange range{
      .flags = MsrFilterRange::kRead, .base = 0x170, .count = 9, .allowed = bits};
  CHECK(machine.vm.set_msr_filter({.default_deny = true, .ranges = std::span(&range, 1)}));
}

TEST_CASE("a filter of performance events is taken where KVM has one") {
  Machine machine;
  if (!needs(machine.vm.has(Cap::kPmuEventFilter), "KVM_CAP_PMU_EVENT_FILTER")) return;
  const std::uint64_t events[] = {0xc0, 0x3c};
  CHECK(machine.vm.set_pmu_event_filter({.deny = true, .events = events}));
  CHECK(machine.vm.set_pmu_event_filter({.flags = 0xff00, .events = events}).error().is_os(EINVAL));
}

}  // namespace
}  // namespace vmm::kvm_ioctls

#endif
