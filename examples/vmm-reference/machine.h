// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>
#include <vector>

#include "boot.h"
#include "config.h"
#include "console.h"
#include "failure.h"
#include "irqchip.h"
#include "serial_input.h"
#include "vcpu_thread.h"
#include "vm_events.h"
#include "vmm/arch/x86_64/cpuid.h"
#include "vmm/arch/x86_64/registers.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/kvm_ioctls/system.h"
#include "vmm/vm_device/bus.h"
#include "vmm/vm_superio/acpi.h"
#include "vmm/vm_superio/debug_port.h"
#include "vmm/vm_superio/serial.h"
#include "vmm/vm_superio/wall_clock.h"

namespace vmm::reference {

/// One life of a virtual machine, from its assembly to power-off or reset.
class Machine {
 public:
  /// What a machine borrows; all of it outlives the machine.
  struct Host {
    const kvm_ioctls::System& system;
    Console& serial;
    Console& debug;
    VmEvents& events;
    event_manager::EventLoop& loop;
  };

  /// Makes the VM with its interrupt controllers, devices and vCPUs around `image`.
  static Outcome<std::unique_ptr<Machine>> create(const VmConfig& config, const Host& host,
                                                  GuestImage image);
  /// Stops and joins the vCPU threads, then takes everything apart.
  ~Machine();

  void start();
  /// Tells the guest that its power button was pressed.
  void press_power_button();

 private:
  Machine(const VmConfig& config, const Host& host, GuestImage image, kvm_ioctls::Vm vm,
          kvm_ioctls::MemorySlots slots);

  Outcome<void> add_irqchip();
  Outcome<void> map_memory();
  Outcome<void> add_devices();
  Outcome<void> add_serial();
  Outcome<void> add_ged(GuestAddress at);
  Outcome<void> add_vcpus();
  Outcome<void> add_vcpu(std::uint32_t index, const arch::x86_64::ApicIds& ids,
                         std::span<const arch::x86_64::CpuidEntry> cpuid);

  const VmConfig& config_;
  Host host_;
  // In the order in which they are made; taken apart the other way round.
  GuestImage image_;
  kvm_ioctls::Vm vm_;
  kvm_ioctls::MemorySlots slots_;
  std::vector<kvm_ioctls::MemorySlot> slots_in_use_;
  std::unique_ptr<SplitIrqchip> irqchip_;
  vm_device::PioBus ports_;
  vm_device::MmioBus mmio_;
  vm_superio::HostClock clock_;
  std::unique_ptr<PulsedPin> ged_irq_;
  std::shared_ptr<vm_superio::GedStatus> ged_;
  std::unique_ptr<SerialInput> serial_input_;
  std::shared_ptr<vm_superio::Serial> serial_;
  std::shared_ptr<vm_superio::DebugConsole> debug_console_;
  std::vector<std::unique_ptr<VcpuThread>> vcpus_;
};

}  // namespace vmm::reference
