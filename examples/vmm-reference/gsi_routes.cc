// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "gsi_routes.h"

#include <vector>

namespace vmm::reference {
namespace {

constexpr std::uint32_t kLastGsi = 4095;  // KVM_MAX_IRQ_ROUTES of every architecture

}  // namespace

GsiRoutes::GsiRoutes(const kvm_ioctls::Vm& vm, std::uint32_t first_free)
    : vm_(vm), free_(*vm_allocator::IdAllocator<>::create({first_free, kLastGsi})) {}

Result<kvm_ioctls::Gsi> GsiRoutes::allocate() {
  const MutexLock lock(mutex_);
  VMM_TRY(const std::uint32_t id, free_.allocate());
  return kvm_ioctls::Gsi{id};
}

void GsiRoutes::release(kvm_ioctls::Gsi gsi) {
  const MutexLock lock(mutex_);
  if (routes_.erase(gsi) != 0) (void)apply();
  (void)free_.free(static_cast<std::uint32_t>(gsi));
}

Result<void> GsiRoutes::set(kvm_ioctls::Gsi gsi, const std::optional<kvm_ioctls::IrqRoute>& route) {
  const MutexLock lock(mutex_);
  const auto at = routes_.find(gsi);
  const std::optional<kvm_ioctls::IrqRoute> before =
      at == routes_.end() ? std::nullopt : std::optional(at->second);
  put(gsi, route);
  Result<void> applied = apply();
  if (!applied) put(gsi, before);
  return applied;
}

void GsiRoutes::put(kvm_ioctls::Gsi gsi, const std::optional<kvm_ioctls::IrqRoute>& route) {
  if (route) {
    routes_.insert_or_assign(gsi, *route);
  } else {
    routes_.erase(gsi);
  }
}

Result<void> GsiRoutes::apply() {
  std::vector<kvm_ioctls::IrqRoute> table;
  table.reserve(routes_.size());
  for (const auto& [gsi, route] : routes_) table.push_back(route);
  return vm_.set_gsi_routing(table);
}

}  // namespace vmm::reference
