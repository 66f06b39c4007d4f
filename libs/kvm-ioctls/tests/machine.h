// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// A small machine for the tests and benchmarks that need /dev/kvm: on x86_64 in real mode, on
// aarch64 at EL1 with its MMU off.

#include <sys/mman.h>

#include <cstdio>
#include <cstring>
#include <initializer_list>
#include <span>
#include <utility>

#include "vmm/kvm_ioctls/system.h"
#include "vmm/sys_util/mapping.h"

namespace vmm::kvm_ioctls::testing {

/// Zeroed, page-aligned memory of our own.
inline sys_util::Mapping ram(std::size_t bytes) {
  auto mapping = sys_util::Mapping::create(
      bytes, {.protection = PROT_READ | PROT_WRITE, .flags = MAP_PRIVATE | MAP_ANONYMOUS});
  return mapping ? std::move(*mapping) : sys_util::Mapping();
}

/// System, VM and, once load() ran, one vCPU over 64 KiB of memory at 0 with its code at 0x1000.
/// On x86_64 the data segment begins at 0xd0000, where there is no memory.
struct Machine {
  static constexpr std::size_t kBytes = 0x10000;
  static constexpr std::uint64_t kCode = 0x1000;

  explicit Machine(std::uint32_t flags_log_dirty = 0)
      : system(*System::open()), vm(*system.create_vm()), memory(ram(kBytes)) {
    static_cast<void>(vm.set_memory_region({.slot = SlotId{0},
                                            .address = GuestAddress(0),
                                            .host = memory.bytes(),
                                            .log_dirty_pages = flags_log_dirty != 0}));
  }

#if defined(__x86_64__)
  void write(std::uint64_t at, std::initializer_list<int> code) {
    for (const int byte : code) memory.data()[at++] = static_cast<std::byte>(byte);
  }

  /// A vCPU in real mode at kCode, with `code` there.
  Vcpu load(std::initializer_list<int> code, std::uint32_t id = 0) {
    write(kCode, code);
    Vcpu vcpu = *vm.create_vcpu(id);
    Sregs sregs = *vcpu.get_sregs();
    sregs.cs.base = 0;
    sregs.cs.selector = 0;
    sregs.ds.base = 0xd0000;
    sregs.ds.selector = 0xd000;
    static_cast<void>(vcpu.set_sregs(sregs));
    Regs regs{};
    regs.rip = kCode;
    regs.rsp = 0x800;
    regs.rflags = 2;
    static_cast<void>(vcpu.set_regs(regs));
    return vcpu;
  }
#elif defined(__aarch64__)
  /// A vCPU at kCode, with these instructions there. PSCI version 0.2 or later, no other features.
  Vcpu load(std::initializer_list<std::uint32_t> code, std::uint32_t id = 0) {
    std::memcpy(memory.data() + kCode, code.begin(), code.size() * sizeof(*code.begin()));
    Vcpu vcpu = *vm.create_vcpu(id);
    VcpuInit init = *vm.preferred_target();
    init.enable(VcpuInit::kPsci02);
    static_cast<void>(vcpu.init(init));
    static_cast<void>(vcpu.set_reg(kArm64Pc, kCode));
    return vcpu;
  }
#endif

  System system;
  Vm vm;
  sys_util::Mapping memory;
};

#if defined(__aarch64__)
/// The version of the GIC that the host has.
inline Result<Device> create_vgic(const Vm& vm) {
  const bool v3 = vm.test_device(DeviceType::kArmVgicV3).has_value();
  return vm.create_device(v3 ? DeviceType::kArmVgicV3 : DeviceType::kArmVgicV2);
}
#endif

/// Says why a test stops early, and goes on to the next: `if (!needs(...)) return;`.
inline bool needs(bool present, const char* what) {
  if (!present) std::printf("skipped: this host's KVM has no %s\n", what);
  return present;
}

}  // namespace vmm::kvm_ioctls::testing
