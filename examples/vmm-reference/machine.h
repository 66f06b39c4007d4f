// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What an architecture gives to the VMM; the folder that is named after it implements it.

#include <functional>
#include <memory>
#include <string>

#include "boot.h"
#include "config.h"
#include "console.h"
#include "device_set.h"
#include "failure.h"
#include "pci_hotplug.h"
#include "pci_iommu.h"
#include "vm_events.h"
#include "vmm/event_manager/event_loop.h"
#include "vmm/kvm_ioctls/system.h"

namespace vmm::reference {

/// One life of a virtual machine, from its assembly to power-off or reset. Its destructor stops and
/// joins the vCPU threads, then takes everything apart.
class Machine {
 public:
  virtual ~Machine() = default;
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  /// Gives the vCPUs their threads, for the first time or after a stop(), each in its place on the
  /// host. Failures: one cannot have its place; then there are no threads.
  virtual Outcome<void> stand_by() = 0;
  /// After stand_by(): lets the vCPUs run.
  virtual void start() = 0;
  /// Takes the vCPUs out of the guest; returns when none of them runs.
  virtual void stop() = 0;
  /// Tells the guest that its power button was pressed.
  virtual void press_power_button() = 0;
  /// Sends a non-maskable interrupt to each vCPU. False: the architecture has none.
  virtual bool inject_nmi() = 0;
  /// For devices that come and go; nullptr: they cannot.
  [[nodiscard]] virtual PciHotplug* hotplug() = 0;
  /// The virtual IOMMU; nullptr: there is none. Its thread is the machine's, unlike those of
  /// others.
  [[nodiscard]] virtual PciIommu* iommu() = 0;

 protected:
  Machine() = default;
};

/// What a machine borrows; all of it outlives the machine.
struct Host {
  const kvm_ioctls::System& system;
  Console& serial;
  Console& debug;
  VmEvents& events;
  event_manager::EventLoop& loop;
  const DeviceSet& devices;
  /// Devices may come and go: what that takes may be left out otherwise.
  bool hotplug = false;
  /// The guest has given back a device that it was asked for. On the loop's thread.
  std::function<void(const std::string& id)> on_removed;
  /// The host wants one of its devices back; again while it has not got it. On the loop's thread.
  std::function<void(const std::string& id)> on_wanted;
  /// The guest has told, through pvpanic, what ends it: "panic", "crash_loaded". On a vCPU's
  /// thread.
  std::function<void(const char* event)> on_guest_panic;
  /// Guest memory has come or gone while the guest runs. On the loop's thread.
  std::function<void(const vm_memory::GuestMemory& memory)> on_memory_changed;
};

/// The image by the architecture's plan; refuses what the architecture does not have.
Outcome<GuestImage> load_image(const VmConfig& config);

/// The first address behind the RAM of --memory: size.
Outcome<GuestAddress> ram_end(const VmConfig& config);

/// Makes the VM with its interrupt controllers, devices and vCPUs around `image`.
Outcome<std::unique_ptr<Machine>> create_machine(const VmConfig& config, const Host& host,
                                                 GuestImage image);

}  // namespace vmm::reference
