// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <memory>

#include "gsi_routes.h"
#include "vmm/kvm_ioctls/vm.h"
#include "vmm/vm_device/msi_vectors.h"

namespace vmm::reference {

/// Message-signalled interrupts through KVM: each vector is an eventfd that an irqfd connects to a
/// routed interrupt while the vector has a message.
class KvmMsiSource final : public vm_device::MsiVectorSource {
 public:
  /// Borrows both, which must outlive this object and the vectors it makes.
  KvmMsiSource(const kvm_ioctls::Vm& vm, GsiRoutes& routes) : vm_(vm), routes_(routes) {}

  Result<std::unique_ptr<vm_device::MsiVectors>> create_vectors(std::uint16_t count) override;

 private:
  const kvm_ioctls::Vm& vm_;
  GsiRoutes& routes_;
};

}  // namespace vmm::reference
