// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/x86_64/boot_params.h"

#include <algorithm>

#include "vmm/base/endian.h"

namespace vmm::arch::x86_64 {
namespace {

// Offsets in the zero page.
constexpr std::size_t kAcpiRsdp = 0x070;
constexpr std::size_t kExtRamdiskImage = 0x0c0;
constexpr std::size_t kExtRamdiskSize = 0x0c4;
constexpr std::size_t kExtCmdline = 0x0c8;
constexpr std::size_t kE820Count = 0x1e8;
constexpr std::size_t kBootFlag = 0x1fe;
constexpr std::size_t kMagic = 0x202;
constexpr std::size_t kTypeOfLoader = 0x210;
constexpr std::size_t kRamdiskImage = 0x218;
constexpr std::size_t kRamdiskSize = 0x21c;
constexpr std::size_t kCmdlinePointer = 0x228;
constexpr std::size_t kKernelAlignment = 0x230;
constexpr std::size_t kSetupData = 0x250;
constexpr std::size_t kE820Table = 0x2d0;
constexpr std::size_t kE820EntryBytes = 20;

constexpr std::uint16_t kBootFlagValue = 0xaa55;
constexpr std::uint32_t kMagicValue = 0x5372'6448;  // "HdrS"
constexpr std::uint8_t kUnknownLoader = 0xff;
constexpr std::uint32_t kDefaultAlignment = 0x100'0000;
// The shortest header that holds every field above up to the command line (protocol 2.02).
constexpr std::size_t kShortestHeader = kCmdlinePointer + 4 - kSetupHeaderAt;

static_assert(kE820Table + kMaxE820Entries * kE820EntryBytes <= kPageSize);

Result<void, ArchError> put_header(ZeroPage& page, std::span<const std::byte> header) {
  if (header.empty()) {
    store_le(&page[kBootFlag], kBootFlagValue);
    store_le(&page[kMagic], kMagicValue);
    store_le(&page[kKernelAlignment], kDefaultAlignment);
    return {};
  }
  if (header.size() < kShortestHeader || header.size() > kSetupHeaderMaxBytes) {
    return fail(ArchError::kBadSetupHeader);
  }
  std::copy(header.begin(), header.end(), page.begin() + kSetupHeaderAt);
  if (load_le<std::uint16_t>(&page[kBootFlag]) != kBootFlagValue ||
      load_le<std::uint32_t>(&page[kMagic]) != kMagicValue) {
    return fail(ArchError::kBadSetupHeader);
  }
  return {};
}

/// A 64-bit value whose halves are apart.
void put_halves(ZeroPage& page, std::size_t low_at, std::size_t high_at, std::uint64_t value) {
  store_le(&page[low_at], static_cast<std::uint32_t>(value));
  store_le(&page[high_at], static_cast<std::uint32_t>(value >> 32));
}

}  // namespace

Result<ZeroPage, ArchError> make_zero_page(const BootParams& params) {
  if (params.map.size() > kMaxE820Entries) return fail(ArchError::kTooManyMapEntries);
  ZeroPage page{};
  VMM_TRY_DO(put_header(page, params.setup_header));
  page[kTypeOfLoader] = std::byte{kUnknownLoader};
  put_halves(page, kRamdiskImage, kExtRamdiskImage,
             params.initrd.size == 0 ? 0 : params.initrd.base.raw());
  put_halves(page, kRamdiskSize, kExtRamdiskSize, params.initrd.size);
  put_halves(page, kCmdlinePointer, kExtCmdline, params.cmdline.raw());
  store_le(&page[kSetupData], std::uint64_t{0});
  store_le(&page[kAcpiRsdp], params.rsdp.raw());
  page[kE820Count] = static_cast<std::byte>(params.map.size());
  std::byte* at = &page[kE820Table];
  for (const MapEntry& entry : params.map) {
    store_le(at, entry.range.base.raw());
    store_le(at + 8, entry.range.size);
    store_le(at + 16, static_cast<std::uint32_t>(entry.type));
    at += kE820EntryBytes;
  }
  return page;
}

Result<void> write_boot_params(vm_memory::MemoryView memory, const BootParams& params) {
  VMM_TRY(const ZeroPage page, make_zero_page(params));
  VMM_TRY_DO(memory.write_bytes(kZeroPage, page));
  return {};
}

}  // namespace vmm::arch::x86_64
