// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The flat Images of arm64 (https://docs.kernel.org/arch/arm64/booting.html) and riscv64
// (https://docs.kernel.org/arch/riscv/boot-image-header.html); their headers agree in what
// matters here.

#include <algorithm>

#include "formats.h"
#include "vmm/base/checked.h"
#include "vmm/base/endian.h"

namespace vmm::linux_loader {
namespace {

constexpr std::size_t kHeaderBytes = 64;
constexpr std::size_t kTextOffset = 8;
constexpr std::size_t kImageSize = 16;
constexpr std::uint64_t kGiB = std::uint64_t{1} << 30;
constexpr std::uint64_t kInitrdWindow = 32 * kGiB;  // from the kernel's GiB on, of arm64
constexpr std::uint64_t kOldTextOffset = 0x80000;   // of arm64 kernels that state no image_size

Result<GuestAddress> choose_base(const Input& in) {
  std::optional<GuestAddress> base = in.options.base;
  if (!base) {
    VMM_TRY(const GuestAddress ram, first_ram(in.memory));
    base = ram.align_up(kImageAlignment);
    if (!base) return fail(LoadError::kOutsideRam);
  }
  if (!base->is_aligned(kImageAlignment)) return fail(LoadError::kMisaligned);
  return *base;
}

// Kernels that can be started by UEFI are PE files as well, whose header tells how long the file is
// (PE format, "COFF file header" and "section table"): so a truncated one is noticed. The header is
// a hint for that alone; one that makes no sense says nothing.
Result<void> check_pe_sections(const Input& in) {
  constexpr std::size_t kPeOffset = 0x3c;
  constexpr std::size_t kCoffBytes = 24;
  constexpr std::size_t kSectionBytes = 40;
  constexpr std::size_t kRawSize = 16;
  const std::byte* const head = in.head.data();
  const std::size_t pe = load_le<std::uint32_t>(head + kPeOffset);
  if (load_le<std::uint16_t>(head) != 0x5a4d || !fits(pe, kCoffBytes, in.head.size())) return {};
  if (load_le<std::uint32_t>(head + pe) != 0x4550) return {};  // "PE" and two zeros
  const std::size_t sections = load_le<std::uint16_t>(head + pe + 6);
  const std::size_t table = pe + kCoffBytes + load_le<std::uint16_t>(head + pe + 20);
  if (!fits(table, sections * kSectionBytes, in.head.size())) return {};
  for (std::size_t i = 0; i < sections; ++i) {
    const std::byte* const section = head + table + i * kSectionBytes;
    const std::uint64_t size = load_le<std::uint32_t>(section + kRawSize);
    const std::uint64_t start = load_le<std::uint32_t>(section + kRawSize + 4);
    if (!fits(start, size, in.source.size())) return fail(LoadError::kTruncated);
  }
  return {};
}

}  // namespace

Result<LoadedKernel> load_image(const Input& in, Arch arch) {
  if (arch != in.options.arch) return fail(make_wrong_architecture(arch, in.options.arch));
  if (in.head.size() < kHeaderBytes) return fail(LoadError::kTruncated);
  VMM_TRY_DO(check_pe_sections(in));
  auto text_offset = load_le<std::uint64_t>(in.head.data() + kTextOffset);
  const auto image_size = load_le<std::uint64_t>(in.head.data() + kImageSize);
  const bool arm = arch == Arch::kAarch64;
  if (arm && image_size == 0) text_offset = kOldTextOffset;
  VMM_TRY(const GuestAddress base, choose_base(in));
  const std::uint64_t bytes = std::max(image_size, in.source.size());
  const auto load = base.checked_add(text_offset);
  const auto end = load ? load->checked_add(bytes) : std::nullopt;
  if (!end) return fail(LoadError::kOverflow);
  if (*load < in.options.high_memory) return fail(LoadError::kBadEntry);
  VMM_TRY_DO(require_ram(in.memory, *load, bytes));
  VMM_TRY_DO(in.source.load(0, in.source.size(), in.memory, *load));
  // What follows the file is the kernel's BSS, which it clears itself.
  const auto format = arm ? KernelFormat::kArm64Image : KernelFormat::kRiscv64Image;
  Result<LoadedKernel> kernel(std::in_place, format, *load, *end, *load);
  kernel->cmdline_capacity = cmdline_capacity(arch);
  const GuestAddress gib(align_down(load->raw(), kGiB));
  if (arm) kernel->initrd_limit = gib.checked_add(kInitrdWindow).value_or(kernel->initrd_limit);
  return kernel;
}

}  // namespace vmm::linux_loader
