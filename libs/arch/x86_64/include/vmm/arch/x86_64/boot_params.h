// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "vmm/arch/x86_64/memory_map.h"
#include "vmm/vm_memory/memory_view.h"

namespace vmm::arch::x86_64 {

inline constexpr std::size_t kSetupHeaderAt = 0x1f1;       ///< offset in the zero page
inline constexpr std::size_t kSetupHeaderMaxBytes = 0x9f;  ///< up to 0x290
/// Room of the zero page (zero-page.rst, e820_table).
inline constexpr std::size_t kMaxE820Entries = 128;

/// What a kernel is told at boot. Everything is borrowed.
struct BootParams {
  /// The setup header as the kernel file has it, from offset 0x1f1 on; untrusted. Empty for a
  /// kernel that is no bzImage: then a minimal header is made up.
  std::span<const std::byte> setup_header{};
  GuestAddress cmdline{};           ///< NUL-terminated; 0: none
  AddressRange initrd{};            ///< size 0: none
  GuestAddress rsdp{};              ///< 0: none
  std::span<const MapEntry> map{};  ///< at most kMaxE820Entries, ascending
};

/// struct boot_params, as the guest gets it.
using ZeroPage = std::array<std::byte, kPageSize>;

/// Builds the zero page of the Linux/x86 boot protocol. Spec: Documentation/arch/x86/boot.rst and
/// zero-page.rst. Fields that belong to the boot loader are set here, whatever the header says.
/// Errors: kBadSetupHeader, kTooManyMapEntries.
Result<ZeroPage, ArchError> make_zero_page(const BootParams& params);

/// Writes the zero page at kZeroPage. Errors: as make_zero_page(), or a MemoryError.
Result<void> write_boot_params(vm_memory::MemoryView memory, const BootParams& params);

}  // namespace vmm::arch::x86_64
