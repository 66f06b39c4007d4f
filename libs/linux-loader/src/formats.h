// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The loaders behind load_kernel(), one a format. Each checks everything first and writes then.

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "ram.h"
#include "vmm/base/checked.h"
#include "vmm/linux_loader/kernel.h"

namespace vmm::linux_loader {

inline constexpr std::size_t kHeadBytes = 4096;
inline constexpr std::uint64_t kImageAlignment = std::uint64_t{2} << 20;

/// What a loader works on. `head` is the start of the source: all of it up to kHeadBytes.
struct Input {
  vm_memory::MemoryView memory;
  const ImageSource& source;
  const LoadOptions& options;
  std::span<const std::byte> head;

  /// The scratch.size() bytes at `offset`, from the head when it has them.
  [[nodiscard]] Result<std::span<const std::byte>> peek(std::uint64_t offset,
                                                        std::span<std::byte> scratch) const {
    if (fits<std::uint64_t>(offset, scratch.size(), head.size())) {
      return head.subspan(static_cast<std::size_t>(offset), scratch.size());
    }
    return source.peek(offset, scratch);
  }
};

enum class Content : std::uint8_t {
  kUnknown,
  kElf,
  kBzImage,
  kArm64Image,
  kRiscv64Image,
  kGzip,
  kZstd,
  kEfiZboot,         ///< an EFI program that holds a compressed Image
  kOtherCompressed,  ///< bzip2, xz, lzma, lz4, lzop
};

/// COMMAND_LINE_SIZE of kernels that do not state theirs, in bytes with the NUL.
[[nodiscard]] constexpr std::size_t cmdline_capacity(Arch arch) {
  return arch == Arch::kRiscv64 ? 1024 : 2048;
}

/// What a source that begins with `head` holds, by its magic numbers.
[[nodiscard]] Content detect(std::span<const std::byte> head);

// Not inlined, so that each pays for its own stack frame only.
[[gnu::noinline]] Result<LoadedKernel> load_elf(const Input& in);
[[gnu::noinline]] Result<LoadedKernel> load_bz_image(const Input& in);
[[gnu::noinline]] Result<LoadedKernel> load_image(const Input& in, Arch arch);

}  // namespace vmm::linux_loader
