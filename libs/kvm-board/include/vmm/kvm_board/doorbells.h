// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "vmm/base/result.h"
#include "vmm/kvm_ioctls/vm.h"
#include "vmm/vm_device/doorbell.h"

namespace vmm::kvm_board {

/// Doorbells as KVM's ioeventfds.
///
/// Threads: as vm_device::Doorbells.
class KvmDoorbells final : public vm_device::Doorbells {
 public:
  /// Borrows `vm`, which must outlive this object.
  explicit KvmDoorbells(const kvm_ioctls::Vm& vm) : vm_(vm) {}

  /// Errors: EINVAL for a doorbell of another size than 0, 1, 2, 4 or 8; those of KVM_IOEVENTFD.
  Result<void> add(const vm_device::Doorbell& doorbell) override;
  void remove(const vm_device::Doorbell& doorbell) override;

 private:
  const kvm_ioctls::Vm& vm_;
};

}  // namespace vmm::kvm_board
