// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Guest RAM as the loaders see it: every failure is kOutsideRam.

#include <cstdint>

#include "vmm/base/guest_address.h"
#include "vmm/base/result.h"
#include "vmm/linux_loader/load_error.h"
#include "vmm/vm_memory/memory_view.h"

namespace vmm::linux_loader {

/// Whether all of the range is RAM.
[[nodiscard]] inline Result<void> require_ram(vm_memory::MemoryView memory, GuestAddress at,
                                              std::uint64_t bytes) {
  if (!memory.check_range(at, bytes)) return fail(LoadError::kOutsideRam);
  return {};
}

[[nodiscard]] inline Result<GuestAddress> first_ram(vm_memory::MemoryView memory) {
  if (memory.regions().empty()) return fail(LoadError::kOutsideRam);
  return memory.regions().front().base;
}

[[nodiscard]] inline Result<void> fill_zero(vm_memory::MemoryView memory, GuestAddress at,
                                            std::uint64_t bytes) {
  if (!memory.fill(at, bytes, std::byte{0})) return fail(LoadError::kOutsideRam);
  return {};
}

}  // namespace vmm::linux_loader
