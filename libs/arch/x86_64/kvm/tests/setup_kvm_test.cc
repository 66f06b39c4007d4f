// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <sys/mman.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstring>

#include "vmm/arch/x86_64/kvm/cpuid.h"
#include "vmm/arch/x86_64/kvm/error.h"
#include "vmm/arch/x86_64/kvm/vcpu.h"
#include "vmm/arch/x86_64/kvm/vm.h"
#include "vmm/arch/x86_64/lapic.h"

#if defined(__x86_64__)

namespace vmm::arch::x86_64::kvm {
namespace {

using kvm_ioctls::System;
using kvm_ioctls::Vcpu;
using kvm_ioctls::Vm;

sys_util::Mapping ram(std::size_t bytes) {
  auto mapping = sys_util::Mapping::create(
      bytes, {.protection = PROT_READ | PROT_WRITE, .flags = MAP_PRIVATE | MAP_ANONYMOUS});
  REQUIRE(mapping);
  return std::move(*mapping);
}

TEST_CASE("a VM is set up once, before its vCPUs, with each kind of irqchip") {
  const System system = *System::open();
  for (const Irqchip irqchip : {Irqchip::kNone, Irqchip::kSplit, Irqchip::kFull}) {
    const Vm vm = *system.create_vm();
    CHECK(set_up_vm(vm, {.irqchip = irqchip, .pit = irqchip == Irqchip::kFull}));
    const Vcpu vcpu = *vm.create_vcpu(0);
    CHECK(vcpu.get_lapic().has_value() == (irqchip != Irqchip::kNone));
    CHECK_FALSE(set_up_vm(vm, {.irqchip = irqchip}));
  }
  const Vm wide = *system.create_vm();
  if (system.has(kvm_ioctls::Cap::kX2apicApi)) {
    CHECK(set_up_vm(wide, {.irqchip = Irqchip::kSplit, .wide_apic_ids = true}));
  }
}

TEST_CASE("every vCPU gets CPUID with its own id, MSRs, FPU and interrupt lines") {
  const System system = *System::open();
  const Vm vm = *system.create_vm();
  REQUIRE(set_up_vm(vm));
  const ApicIds ids = *ApicIds::create(Topology::flat(3), 3);
  const auto cpuid = guest_cpuid(system, ids);
  REQUIRE(cpuid);
  for (std::uint32_t index = 0; index < 3; ++index) {
    const Vcpu vcpu = *vm.create_vcpu(ids.id(index));
    const auto done = set_up_vcpu(vcpu, ids, {.index = index, .cpuid = *cpuid});
    if (!done) FAIL(to_string(done.error()));
    const auto now = vcpu.get_cpuid2();
    REQUIRE(now);
    for (const auto& entry : *now) {
      if (entry.function == 1) CHECK(entry.ebx >> 24 == ids.id(index));
    }
    CHECK(vcpu.get_fpu()->fcw == 0x37f);
    const auto lapic = *vcpu.get_lapic();
    CHECK((lapic.get(kvm_ioctls::Lapic::kLvtLint0) >> 8 & 7) == 7);  // ExtINT
    CHECK((lapic.get(kvm_ioctls::Lapic::kLvtLint1) >> 8 & 7) == 4);  // NMI
  }
}

TEST_CASE("an MSR that KVM refuses is an error, not a silent loss") {
  const System system = *System::open();
  const Vm vm = *system.create_vm();
  const Vcpu vcpu = *vm.create_vcpu(0);
  const Msr msrs[] = {{0x174, 1}, {0x474f4f00, 1}, {0x175, 1}};
  CHECK(set_msrs(vcpu, msrs).error().code() == static_cast<int>(SetupError::kMsrRefused));
  CHECK(set_msrs(vcpu, std::span(msrs).first(1)));
}

TEST_CASE("CPUID that KVM supports has a vendor and no entry for the guest's first id but 0") {
  const System system = *System::open();
  auto entries = *supported_cpuid(system);
  CHECK(entries.size() > 5);
  CHECK(find_cpuid(entries, 0) != nullptr);
  CHECK(find_cpuid(entries, 1) != nullptr);
}

// Runs three instructions in the mode of `registers`: they send the register with the boot
// structure's address to port 0x10 and halt. The bytes mean the same in 32 and 64 bits.
void expect_boot(const BootRegisters& registers, CodeSize size, bool pvh) {
  const System system = *System::open();
  const Vm vm = *system.create_vm();
  REQUIRE(set_up_vm(vm, {.irqchip = Irqchip::kNone}));
  auto memory = ram(4u << 20);
  REQUIRE(vm.set_memory_region({.slot = kvm_ioctls::SlotId{0}, .host = memory.bytes()}));
  const vm_memory::RegionSpan region{GuestAddress(0), memory.bytes()};
  const vm_memory::MemoryView view(region);
  REQUIRE(write_descriptor_tables(view, size));
  REQUIRE(write_page_tables(view));
  // mov eax, esi or ebx; out 0x10, eax; hlt
  const unsigned char code[] = {0x89, static_cast<unsigned char>(pvh ? 0xd8 : 0xf0), 0xe7, 0x10,
                                0xf4};
  std::memcpy(memory.data() + registers.regs.rip, code, sizeof(code));

  const ApicIds ids = *ApicIds::create(Topology::flat(1), 1);
  const auto cpuid = *guest_cpuid(system, ids);
  Vcpu vcpu = *vm.create_vcpu(0);
  REQUIRE(set_up_vcpu(vcpu, ids, {.index = 0, .cpuid = cpuid, .in_kernel_apic = false}));
  const auto set = set_registers(vcpu, registers);
  if (!set) FAIL(to_string(set.error()));
  const auto exit = vcpu.run();
  REQUIRE(exit);
  INFO(kvm_ioctls::name_of(*exit));
  REQUIRE(std::holds_alternative<kvm_ioctls::exits::IoOut>(*exit));
  std::uint32_t sent = 0;
  const auto& out = std::get<kvm_ioctls::exits::IoOut>(*exit);
  REQUIRE(out.data.size() == sizeof(sent));
  std::memcpy(&sent, out.data.data(), sizeof(sent));
  CHECK(sent == (pvh ? kPvhStartInfo : kZeroPage).raw());
  CHECK(std::holds_alternative<kvm_ioctls::exits::Hlt>(*vcpu.run()));
}

TEST_CASE("a guest starts in the modes of PVH and of both entries of a bzImage") {
  expect_boot(pvh_registers(GuestAddress(0x200000)), CodeSize::k32, true);
  expect_boot(linux32_registers(GuestAddress(0x200000)), CodeSize::k32, false);
  expect_boot(linux64_registers(GuestAddress(0x200000)), CodeSize::k64, false);
}

}  // namespace
}  // namespace vmm::arch::x86_64::kvm

#endif
