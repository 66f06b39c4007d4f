// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "vmm/kvm_ioctls/vm.h"
#include "vmm/vm_device/doorbell.h"

namespace vmm::reference {

/// Doorbells as KVM's ioeventfds.
class KvmDoorbells final : public vm_device::Doorbells {
 public:
  /// Borrows `vm`, which must outlive this object.
  explicit KvmDoorbells(const kvm_ioctls::Vm& vm) : vm_(vm) {}

  Result<void> add(const vm_device::Doorbell& doorbell) override;
  void remove(const vm_device::Doorbell& doorbell) override;

 private:
  const kvm_ioctls::Vm& vm_;
};

}  // namespace vmm::reference
