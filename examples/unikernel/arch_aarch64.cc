// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "arch.h"
#include "vmm/arch/aarch64/device_tree.h"
#include "vmm/arch/aarch64/kvm/gic.h"
#include "vmm/arch/aarch64/kvm/vcpu.h"
#include "vmm/arch/aarch64/kvm/vm.h"
#include "vmm/arch/aarch64/layout.h"
#include "vmm/arch/aarch64/registers.h"
#include "vmm/kvm_board/gsi_line.h"
#include "vmm/virtio_mmio/mmio_transport.h"

namespace unikernel {

using namespace vmm;
namespace arm = arch::aarch64;

ConsolePlace console_place() {
  return {.registers = arm::kPlatformWindow.base,
          .irq = arm::kFirstSpi + arm::kFirstFreeSpi,
          .line = kvm_board::spi_line(arm::kFirstFreeSpi)};
}

Result<std::vector<AddressRange>> ram(std::uint64_t bytes) {
  VMM_TRY(const arm::RamRegions ranges, arm::ram_regions(bytes));
  return std::vector(ranges.begin(), ranges.end());
}

linux_loader::LoadOptions load_options() {
  return {
      .arch = linux_loader::Arch::kAarch64, .high_memory = arm::kKernel, .memory_is_zero = true};
}

Result<kvm_ioctls::Vm> create_vm(const kvm_ioctls::System& system) { return system.create_vm(); }

// The GIC comes behind the vCPU, and the device tree says what it is.
Result<kvm_ioctls::Vcpu> create_vcpu(const kvm_ioctls::System&, const kvm_ioctls::Vm& vm,
                                     const Start& start) {
  VMM_TRY(const auto init, arm::kvm::vcpu_init(vm, {}, false));
  VMM_TRY(kvm_ioctls::Vcpu vcpu, vm.create_vcpu(0));
  VMM_TRY_DO(arm::kvm::set_up_vcpu(vcpu, init));
  VMM_TRY(const arm::kvm::Gic gic, arm::kvm::Gic::create(vm, {.its = false}));
  VMM_TRY(const arm::RamRegions ram, arm::ram_regions(start.memory.snapshot()->total_bytes()));
  const std::string bootargs = start.cmdline.text();
  const arm::VirtioMmio console{
      .registers = {console_place().registers, virtio_mmio::MmioTransport::kSize},
      .spi = arm::kFirstFreeSpi};
  VMM_TRY_DO(arm::write_device_tree(start.memory.view(), {.memory = {ram.begin(), ram.end()},
                                                          .bootargs = bootargs,
                                                          .gic = gic.version(),
                                                          .its = false,
                                                          .serial = false,
                                                          .rtc = false,
                                                          .power_key = false,
                                                          .virtio_mmio = {&console, 1}}));
  VMM_TRY_DO(
      arm::kvm::set_registers(vcpu, arm::linux_registers(start.kernel.entry, arm::kFdt.base)));
  return vcpu;
}

}  // namespace unikernel
