// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "failure.h"
#include "vm_events.h"
#include "vmm/arch/x86_64/registers.h"
#include "vmm/kvm_ioctls/vcpu.h"
#include "vmm/vm_device/bus.h"
#include "vmm/vm_superio/ioapic.h"

namespace vmm::reference {

/// What a vCPU's exits are answered by. Outlives the thread.
struct ExitTargets {
  vm_device::PioBus& ports;
  vm_device::MmioBus& mmio;
  vm_superio::Ioapic& ioapic;
  VmEvents& events;
};

/// Runs one vCPU on a thread of its own, from start() to stop().
class VcpuThread {
 public:
  struct Options {
    std::uint32_t index;
    std::vector<std::uint64_t> host_cpus;  ///< where it may run; empty: anywhere
  };

  /// `vcpu` is configured and moves in.
  VcpuThread(kvm_ioctls::Vcpu vcpu, const ExitTargets& targets, Options options);
  /// Stops.
  ~VcpuThread();

  /// What the boot vCPU starts with; before start().
  Result<void> set_registers(const arch::x86_64::BootRegisters& registers) const;

  void start();
  /// Asks the thread to leave the guest. Follow it with join(); two steps, so that all vCPUs of a
  /// machine stop at once.
  void request_stop();
  void join();

 private:
  void main();
  void run();
  /// Whether to go on running.
  bool handle(const kvm_ioctls::VcpuExit& exit);
  bool handle_other(const kvm_ioctls::VcpuExit& exit);
  Outcome<void> pin_to_host_cpus() const;

  kvm_ioctls::Vcpu vcpu_;
  kvm_ioctls::VcpuKick kick_;
  vm_device::PioCaller ports_;
  vm_device::MmioCaller mmio_;
  vm_superio::Ioapic& ioapic_;
  VmEvents& events_;
  Options options_;
  std::atomic<bool> stop_{false};
  std::atomic<int> thread_id_{0};  // 0 until the thread runs and after it has ended
  std::thread thread_;
};

/// Installs the handler, which does nothing, of the signal that takes vCPUs out of the guest.
/// Once a process, before the first thread.
Outcome<void> prepare_vcpu_signal();

}  // namespace vmm::reference
