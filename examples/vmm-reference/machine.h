// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What an architecture gives to the VMM; the folder that is named after it implements it.

#include <memory>

#include "boot.h"
#include "config.h"
#include "console.h"
#include "device_set.h"
#include "failure.h"
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

  virtual void start() = 0;
  /// Tells the guest that its power button was pressed.
  virtual void press_power_button() = 0;

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
};

/// The image by the architecture's plan; refuses what the architecture does not have.
Outcome<GuestImage> load_image(const VmConfig& config);

/// Makes the VM with its interrupt controllers, devices and vCPUs around `image`.
Outcome<std::unique_ptr<Machine>> create_machine(const VmConfig& config, const Host& host,
                                                 GuestImage image);

}  // namespace vmm::reference
