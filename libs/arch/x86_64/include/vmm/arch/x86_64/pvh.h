// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/arch/x86_64/memory_map.h"
#include "vmm/vm_memory/memory_view.h"

namespace vmm::arch::x86_64 {

/// A file that was loaded for the guest, for example an initrd.
struct PvhModule {
  AddressRange range{};    ///< guest-physical
  GuestAddress cmdline{};  ///< NUL-terminated; 0: none
};

/// What the guest finds in its start information. Everything is borrowed.
struct PvhConfig {
  GuestAddress cmdline{};           ///< NUL-terminated; 0: none
  GuestAddress rsdp{};              ///< 0: none
  std::span<const MapEntry> map{};  ///< at most kMaxPvhMapEntries, ascending
  /// At most kMaxPvhModules; Linux takes the first as its initrd.
  std::span<const PvhModule> modules{};
};

/// @{
/// Room at kPvhMemoryMap and kPvhModules.
inline constexpr std::size_t kMaxPvhMapEntries = 128;
inline constexpr std::size_t kMaxPvhModules = 32;
/// @}

/// Writes the start information of the PVH boot ABI (version 1), its memory map and modules, at
/// kPvhStartInfo, kPvhMemoryMap and kPvhModules. Spec: Xen, "x86/HVM direct boot ABI".
///
/// Errors: kTooManyMapEntries, kTooManyModules; a MemoryError when there is no RAM at those places.
Result<void> write_pvh(vm_memory::MemoryView memory, const PvhConfig& config);

}  // namespace vmm::arch::x86_64
