// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/kvm_ioctls/dirty_ring.h"

#include "uapi_extra.h"

namespace vmm::kvm_ioctls {

std::optional<DirtyPage> DirtyRing::next() {
  const std::size_t at = std::size_t{fetch_ & mask_} * sizeof(kvm_dirty_gfn);
  if (at + sizeof(kvm_dirty_gfn) > pages_.size()) return std::nullopt;  // moved from
  auto* entry = reinterpret_cast<kvm_dirty_gfn*>(pages_.data() + at);
  // Acquire: slot and offset are read after the flag that publishes them (KVM's write barrier).
  const std::uint32_t flags = __atomic_load_n(&entry->flags, __ATOMIC_ACQUIRE);
  if ((flags & KVM_DIRTY_GFN_F_MASK) != KVM_DIRTY_GFN_F_DIRTY) return std::nullopt;
  const DirtyPage page{.slot = static_cast<SlotId>(entry->slot), .page = entry->offset};
  // Release: KVM takes the entry back only after it was read.
  __atomic_store_n(&entry->flags, std::uint32_t{KVM_DIRTY_GFN_F_RESET}, __ATOMIC_RELEASE);
  ++fetch_;
  return page;
}

}  // namespace vmm::kvm_ioctls
