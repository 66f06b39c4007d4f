// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The Linux/x86 boot protocol: https://docs.kernel.org/arch/x86/boot.html

#include <algorithm>
#include <cstring>

#include "formats.h"
#include "vmm/base/endian.h"

namespace vmm::linux_loader {
namespace {

constexpr std::size_t kSector = 512;
constexpr std::size_t kHeaderEnd = SetupHeader::kOffset + SetupHeader::kMaxSize;
constexpr std::uint8_t kLoadedHigh = 1;  // loadflags, bit 0
constexpr std::uint16_t kEntry64 = 1;    // xloadflags, bit 0
constexpr std::uint64_t kEntry64Offset = 0x200;
constexpr std::uint32_t kDefaultInitrdMax = 0x37ffffff;
constexpr std::uint32_t kDefaultCmdlineSize = 255;

// Offsets in the file.
constexpr std::size_t kSetupSects = 0x1f1;
constexpr std::size_t kSysSize = 0x1f4;
constexpr std::size_t kJumpOffset = 0x201;
constexpr std::size_t kJumpEnd = 0x202;
constexpr std::size_t kVersion = 0x206;
constexpr std::size_t kLoadFlags = 0x211;
constexpr std::size_t kCode32Start = 0x214;
constexpr std::size_t kInitrdAddrMax = 0x22c;
constexpr std::size_t kKernelAlignment = 0x230;
constexpr std::size_t kRelocatable = 0x234;
constexpr std::size_t kXLoadFlags = 0x236;
constexpr std::size_t kCmdlineSize = 0x238;
constexpr std::size_t kPrefAddress = 0x258;
constexpr std::size_t kInitSize = 0x260;

/// The header's fields that matter here; those that its version lacks have their defaults.
struct Header {
  std::uint64_t payload;  // offset in the file
  std::uint64_t payload_bytes;
  std::uint32_t code32_start;
  std::uint32_t initrd_addr_max = kDefaultInitrdMax;
  std::uint32_t cmdline_size = kDefaultCmdlineSize;
  std::uint32_t alignment = 1;
  std::uint32_t init_size = 0;
  std::uint64_t pref_address = 0;
  bool relocatable = false;
  bool entry64 = false;
};

Result<void> parse(const Input& in, Header& header) {
  if (in.head.size() < kHeaderEnd) return fail(LoadError::kTruncated);
  const std::byte* at = in.head.data();
  const auto version = load_le<std::uint16_t>(at + kVersion);
  if (version < 0x200) return fail(LoadError::kBzImageVersion);
  if ((load_le<std::uint8_t>(at + kLoadFlags) & kLoadedHigh) == 0) {
    return fail(LoadError::kBzImageLow);
  }
  const auto sectors = load_le<std::uint8_t>(at + kSetupSects);
  header.payload = (std::uint64_t{sectors == 0 ? std::uint8_t{4} : sectors} + 1) * kSector;
  if (in.source.size() <= header.payload) return fail(LoadError::kTruncated);
  header.payload_bytes = in.source.size() - header.payload;
  header.code32_start = load_le<std::uint32_t>(at + kCode32Start);
  if (version >= 0x203) header.initrd_addr_max = load_le<std::uint32_t>(at + kInitrdAddrMax);
  if (version >= 0x204) {
    // In units of 16 bytes, rounded up by some builds. What follows is no part of the kernel (a
    // signature, for example).
    const std::uint64_t promised = std::uint64_t{load_le<std::uint32_t>(at + kSysSize)} * 16;
    if (promised >= header.payload_bytes + 16) return fail(LoadError::kTruncated);
    if (promised != 0) header.payload_bytes = std::min(header.payload_bytes, promised);
  }
  if (version >= 0x205) {
    header.alignment = std::max(load_le<std::uint32_t>(at + kKernelAlignment), 1u);
    header.relocatable = load_le<std::uint8_t>(at + kRelocatable) != 0;
  }
  if (version >= 0x206) header.cmdline_size = load_le<std::uint32_t>(at + kCmdlineSize);
  if (version >= 0x20a) {
    header.pref_address = load_le<std::uint64_t>(at + kPrefAddress);
    header.init_size = load_le<std::uint32_t>(at + kInitSize);
  }
  header.entry64 = version >= 0x20c && (load_le<std::uint16_t>(at + kXLoadFlags) & kEntry64) != 0;
  return {};
}

/// The first address behind the memory that the kernel uses before it parses its memory map.
Result<GuestAddress> run_time_end(const Input& in, const Header& header, GuestAddress load,
                                  GuestAddress file_end) {
  if (header.init_size == 0) return file_end;
  // The kernel's own start code moves to an aligned address, not below its preferred one.
  const std::optional<GuestAddress> aligned = load.align_up(header.alignment);
  if (!aligned) return fail(LoadError::kOverflow);
  const std::uint64_t start =
      header.relocatable ? std::max(aligned->raw(), header.pref_address) : header.pref_address;
  VMM_TRY_DO(require_ram(in.memory, GuestAddress(start), header.init_size));
  return GuestAddress(std::max(start + header.init_size, file_end.raw()));
}

void copy_header(std::span<const std::byte> head, GuestAddress load, SetupHeader& setup) {
  // The jump over the header says where it ends.
  const std::size_t end = kJumpEnd + load_le<std::uint8_t>(head.data() + kJumpOffset);
  setup.size = std::clamp(end, kInitSize + 4, kHeaderEnd) - SetupHeader::kOffset;
  std::memcpy(setup.storage.data(), head.data() + SetupHeader::kOffset, SetupHeader::kMaxSize);
  store_le(setup.storage.data() + (kCode32Start - SetupHeader::kOffset),
           static_cast<std::uint32_t>(load.raw()));
}

Result<LoadedKernel> loaded(const Input& in, const Header& header, GuestAddress load,
                            GuestAddress end, GuestAddress entry) {
  Result<LoadedKernel> kernel(std::in_place, KernelFormat::kBzImage, load, end, entry);
  kernel->entry_is_32bit = !header.entry64;
  copy_header(in.head, load, kernel->setup_header);
  kernel->cmdline_capacity = std::size_t{header.cmdline_size} + 1;
  kernel->initrd_limit = GuestAddress(std::uint64_t{header.initrd_addr_max} + 1);
  return kernel;
}

}  // namespace

Result<LoadedKernel> load_bz_image(const Input& in) {
  Header header;
  VMM_TRY_DO(parse(in, header));
  const GuestAddress high = in.options.high_memory;
  const GuestAddress load = in.options.base.value_or(GuestAddress(header.code32_start));
  if (GuestAddress(header.code32_start) < high || load < high) {
    return fail(LoadError::kBzImageStart);
  }
  if (load.raw() > UINT32_MAX) return fail(LoadError::kOutsideRam);  // code32_start holds it
  // No overflow: no file has more than 2^63 bytes.
  const GuestAddress file_end(load.raw() + header.payload_bytes);
  const GuestAddress entry(load.raw() + (header.entry64 ? kEntry64Offset : 0));
  VMM_TRY(const GuestAddress end, run_time_end(in, header, load, file_end));
  VMM_TRY_DO(in.source.load(header.payload, header.payload_bytes, in.memory, load));
  return loaded(in, header, load, end, entry);
}

}  // namespace vmm::linux_loader
