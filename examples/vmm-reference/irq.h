// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "failure.h"
#include "vmm/kvm_ioctls/vm.h"
#include "vmm/sys_util/event_fd.h"
#include "vmm/vm_device/irq.h"

namespace vmm::reference {

/// An edge-triggered interrupt input of the VM: an eventfd that KVM listens to.
class IrqFd final : public vm_device::IrqTrigger {
 public:
  static Outcome<std::unique_ptr<IrqFd>> create(const kvm_ioctls::Vm& vm, kvm_ioctls::Gsi gsi) {
    VMM_STEP("interrupt", sys_util::EventFd event, sys_util::EventFd::create());
    VMM_STEP_DO("interrupt", vm.register_irqfd(event.fd(), gsi));
    return std::unique_ptr<IrqFd>(new IrqFd(std::move(event)));
  }

  void trigger() override { (void)event_.add().has_value(); }  // KVM drains it at once

 private:
  explicit IrqFd(sys_util::EventFd event) : event_(std::move(event)) {}

  sys_util::EventFd event_;
};

}  // namespace vmm::reference
