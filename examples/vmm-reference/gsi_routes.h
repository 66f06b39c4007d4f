// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "vmm/base/mutex.h"
#include "vmm/base/result.h"
#include "vmm/kvm_ioctls/vm.h"
#include "vmm/vm_allocator/id_allocator.h"

namespace vmm::reference {

/// KVM's table of interrupt routes, of which the kernel only knows how to replace all of it.
///
/// Threads: any.
class GsiRoutes {
 public:
  /// Numbers below `first_free` (at most 4095) are given out by the architecture, the others by
  /// allocate().
  /// Borrows `vm`, which must outlive this object.
  GsiRoutes(const kvm_ioctls::Vm& vm, std::uint32_t first_free);

  /// Errors: ENOSPC.
  Result<kvm_ioctls::Gsi> allocate();
  /// Takes back a number, and its route.
  void release(kvm_ioctls::Gsi gsi);
  /// Sets a route; nullopt takes it away. Errors: those of KVM_SET_GSI_ROUTING; the route is as it
  /// was then.
  Result<void> set(kvm_ioctls::Gsi gsi, const std::optional<kvm_ioctls::IrqRoute>& route);

 private:
  void put(kvm_ioctls::Gsi gsi, const std::optional<kvm_ioctls::IrqRoute>& route)
      VMM_REQUIRES(mutex_);
  Result<void> apply() VMM_REQUIRES(mutex_);

  const kvm_ioctls::Vm& vm_;
  Mutex mutex_;
  vm_allocator::IdAllocator<> free_ VMM_GUARDED_BY(mutex_);
  std::map<kvm_ioctls::Gsi, kvm_ioctls::IrqRoute> routes_ VMM_GUARDED_BY(mutex_);
};

}  // namespace vmm::reference
