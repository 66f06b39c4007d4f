// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "arch.h"
#include "vmm/arch/x86_64/boot_params.h"
#include "vmm/arch/x86_64/kvm/cpuid.h"
#include "vmm/arch/x86_64/kvm/vcpu.h"
#include "vmm/arch/x86_64/kvm/vm.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/arch/x86_64/memory_map.h"
#include "vmm/arch/x86_64/pvh.h"

namespace unikernel {

using namespace vmm;
namespace x86 = arch::x86_64;

ConsolePlace console_place() {
  return {.registers = x86::kDeviceWindow32.base,
          .irq = x86::kFirstPciIrq,
          .line = kvm_ioctls::Gsi{x86::kFirstPciIrq}};
}

Result<std::vector<AddressRange>> ram(std::uint64_t bytes) {
  VMM_TRY(const x86::RamRegions ranges, x86::ram_regions(bytes));
  return std::vector(ranges.begin(), ranges.end());
}

linux_loader::LoadOptions load_options() {
  return {
      .arch = linux_loader::Arch::kX86_64, .high_memory = x86::kHighRam, .memory_is_zero = true};
}

// All interrupt controllers are KVM's.
Result<kvm_ioctls::Vm> create_vm(const kvm_ioctls::System& system) {
  VMM_TRY(kvm_ioctls::Vm vm, system.create_vm());
  VMM_TRY_DO(x86::kvm::set_up_vm(vm, {.irqchip = x86::kvm::Irqchip::kFull}));
  return vm;
}

namespace {

// By the PVH note where there is one; else in long mode, with Linux's boot parameters.
Result<x86::BootRegisters> write_boot_data(const Start& start) {
  const vm_memory::MemoryView memory = start.memory.view();
  VMM_TRY_DO(linux_loader::load_cmdline(memory, x86::kCmdline, start.cmdline));
  VMM_TRY(const x86::RamRegions ram, x86::ram_regions(start.memory.snapshot()->total_bytes()));
  const x86::MemoryMap map = x86::memory_map(ram);
  if (start.kernel.pvh_entry) {
    VMM_TRY_DO(x86::write_pvh(memory, {.cmdline = x86::kCmdline, .map = map.entries()}));
    VMM_TRY_DO(x86::write_descriptor_tables(memory, x86::CodeSize::k32));
    return x86::pvh_registers(*start.kernel.pvh_entry);
  }
  VMM_TRY_DO(x86::write_boot_params(memory, {.cmdline = x86::kCmdline, .map = map.entries()}));
  VMM_TRY_DO(x86::write_descriptor_tables(memory, x86::CodeSize::k64));
  VMM_TRY_DO(x86::write_page_tables(memory));
  return x86::linux64_registers(start.kernel.entry);
}

}  // namespace

Result<kvm_ioctls::Vcpu> create_vcpu(const kvm_ioctls::System& system, const kvm_ioctls::Vm& vm,
                                     const Start& start) {
  VMM_TRY(const x86::BootRegisters registers, write_boot_data(start));
  VMM_TRY(const x86::ApicIds ids, x86::ApicIds::create(x86::Topology::flat(1), 1));
  VMM_TRY(const auto cpuid, x86::kvm::guest_cpuid(system, ids));
  VMM_TRY(kvm_ioctls::Vcpu vcpu, vm.create_vcpu(ids.id(0)));
  VMM_TRY_DO(x86::kvm::set_up_vcpu(vcpu, ids, {.cpuid = cpuid}));
  VMM_TRY_DO(x86::kvm::set_registers(vcpu, registers));
  return vcpu;
}

}  // namespace unikernel
