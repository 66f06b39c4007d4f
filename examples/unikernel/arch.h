// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What the two architectures do in their own ways: arch_x86_64.cc, arch_aarch64.cc.

#include <cstdint>
#include <vector>

#include "vmm/base/address_range.h"
#include "vmm/base/result.h"
#include "vmm/kvm_ioctls/system.h"
#include "vmm/linux_loader/cmdline.h"
#include "vmm/linux_loader/kernel.h"
#include "vmm/vm_memory/guest_memory.h"

namespace unikernel {

/// Where the console's registers and interrupt are.
struct ConsolePlace {
  vmm::GuestAddress registers;
  std::uint32_t irq;            ///< as the guest is told
  vmm::kvm_ioctls::Gsi line{};  ///< as KVM is told
};
ConsolePlace console_place();

/// Where RAM of that size is. Errors: for sizes that cannot be.
vmm::Result<std::vector<vmm::AddressRange>> ram(std::uint64_t bytes);
/// Which kernels are taken, and where they may be.
vmm::linux_loader::LoadOptions load_options();
vmm::Result<vmm::kvm_ioctls::Vm> create_vm(const vmm::kvm_ioctls::System& system);

/// What the kernel is told and where it begins.
struct Start {
  const vmm::vm_memory::GuestMemory& memory;
  const vmm::linux_loader::LoadedKernel& kernel;
  const vmm::linux_loader::Cmdline& cmdline;
};
/// A vCPU at the kernel's entry, with all that the kernel wants to find in memory.
vmm::Result<vmm::kvm_ioctls::Vcpu> create_vcpu(const vmm::kvm_ioctls::System& system,
                                               const vmm::kvm_ioctls::Vm& vm, const Start& start);

}  // namespace unikernel
