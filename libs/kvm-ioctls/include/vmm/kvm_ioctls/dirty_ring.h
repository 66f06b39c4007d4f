// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "vmm/kvm_ioctls/memory.h"
#include "vmm/sys_util/mapping.h"

namespace vmm::kvm_ioctls {

/// A page that a vCPU wrote.
struct DirtyPage {
  SlotId slot;         ///< with the address space in bits 16 and up
  std::uint64_t page;  ///< index inside of the slot
};

/// The ring of dirty pages of one vCPU; see Vm::enable_dirty_ring() and Vcpu::map_dirty_ring().
///
/// Thread-safety: one thread at a time; the vCPU may run meanwhile. Pages become clean, and their
/// places in the ring free, by Vm::reset_dirty_rings() after they were harvested.
class DirtyRing {
 public:
  /// Over `entries` (a power of two) entries that KVM writes.
  DirtyRing(sys_util::Mapping pages, std::uint32_t entries)
      : pages_(std::move(pages)), mask_(entries - 1) {}

  /// The oldest page not harvested yet, or nullopt when there is none.
  [[nodiscard]] std::optional<DirtyPage> next();
  /// The size of the ring, a power of two.
  [[nodiscard]] std::uint32_t entries() const { return mask_ + 1; }

 private:
  sys_util::Mapping pages_;
  std::uint32_t mask_;
  std::uint32_t fetch_ = 0;
};

}  // namespace vmm::kvm_ioctls
