// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <memory>

#include "../gsi_routes.h"
#include "vmm/kvm_ioctls/vm.h"
#include "vmm/vfio_platform/line_router.h"

namespace vmm::reference::aarch64 {

/// Interrupts of the host's devices on shared peripheral interrupts of KVM's GIC, which hears the
/// devices and the guest's end of interrupt by itself. Lines are SPIs from 0.
class IrqfdLines final : public vfio_platform::LineRouter {
 public:
  /// Borrows both, which outlive this object.
  IrqfdLines(const kvm_ioctls::Vm& vm, GsiRoutes& routes) : vm_(vm), routes_(routes) {}

  Result<std::shared_ptr<const void>> connect(const vfio_platform::LineWiring& wiring) override;

 private:
  const kvm_ioctls::Vm& vm_;
  GsiRoutes& routes_;
};

}  // namespace vmm::reference::aarch64
