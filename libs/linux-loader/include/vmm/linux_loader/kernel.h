// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Loads kernels into guest memory. Formats: Linux boot protocol (Documentation/arch/x86/boot.rst),
// ELF-64 with the PVH note (Xen's x86 direct boot ABI), arm64 Image (arch/arm64/booting.rst),
// riscv64 Image (arch/riscv/boot-image-header.rst), and Images compressed with gzip or zstd.

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "vmm/base/guest_address.h"
#include "vmm/base/result.h"
#include "vmm/linux_loader/image_source.h"
#include "vmm/linux_loader/load_error.h"
#include "vmm/vm_memory/memory_view.h"

namespace vmm::linux_loader {

/// What a kernel's file is, after decompression.
enum class KernelFormat : std::uint8_t { kElf, kBzImage, kArm64Image, kRiscv64Image };

/// The x86 setup header of a bzImage, for the zero page: it belongs at offset 0x1f1 there.
struct SetupHeader {
  static constexpr std::size_t kOffset = 0x1f1;  ///< in the file and in the zero page
  /// Up to the end of the zero page's header.
  static constexpr std::size_t kMaxSize = 0x290 - kOffset;

  SetupHeader() : size(0) {}  // leaves the storage as it is

  std::array<std::byte, kMaxSize> storage;  ///< the first `size` bytes mean something
  std::size_t size;                         ///< 0 when the kernel is no bzImage

  /// For BootParams::setup_header; empty when the kernel is no bzImage. Borrowed from this object.
  [[nodiscard]] std::span<const std::byte> bytes() const { return {storage.data(), size}; }
};

/// How load_kernel() loads.
struct LoadOptions {
  Arch arch = Arch::kX86_64;  ///< of the guest; a kernel for another one is refused
  /// Where to load. ELF: added to every physical address in the file. bzImage: instead of the
  /// start address in its header. Image: the 2 MiB aligned base to which its text offset is
  /// added. Default: as the file says; for an Image, the first 2 MiB boundary in RAM.
  std::optional<GuestAddress> base{};
  /// Entry points below it, that of PVH included, are refused (x86_64: 1 MiB keeps a kernel off
  /// the boot tables).
  GuestAddress high_memory{0};
  /// What a compressed kernel may grow to, in bytes; the size of guest RAM bounds it as well.
  std::uint64_t max_decompressed = std::uint64_t{512} << 20;
  /// Whether guest RAM is known to hold zeros, so that BSS need not be written (nor paid for).
  bool memory_is_zero = false;
};

/// What was loaded, and where.
struct LoadedKernel {
  KernelFormat format;  ///< found by its first bytes
  GuestAddress load;    ///< the lowest address written
  /// The first address behind everything the kernel uses before it reads its memory map: file
  /// contents, BSS, and the decompression buffer (init_size) or image_size. Initrd, device tree
  /// and command line belong outside [load, end).
  GuestAddress end;
  GuestAddress entry;                       ///< the native entry: 64-bit mode on x86_64
  bool entry_is_32bit = false;              ///< a bzImage without a 64-bit entry point
  std::optional<GuestAddress> pvh_entry{};  ///< 32-bit PVH entry of an x86_64 ELF with its note
  SetupHeader setup_header{};               ///< of a bzImage, with code32_start as loaded
  std::size_t cmdline_capacity = 0;         ///< bytes of command line it takes, with the NUL
  /// An initrd must lie below it (initrd_addr_max of a bzImage; 32 GiB behind the start of an
  /// arm64 Image's GiB).
  GuestAddress initrd_limit{~std::uint64_t{0}};
};

/// Finds out what `source` is and loads it. On an error, guest RAM may hold part of the kernel.
///
/// Errors: those of LoadError up to kTooLarge; errno values when a file cannot be read.
Result<LoadedKernel> load_kernel(vm_memory::MemoryView memory, const ImageSource& source,
                                 const LoadOptions& options);

}  // namespace vmm::linux_loader
