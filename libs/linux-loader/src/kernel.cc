// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/linux_loader/kernel.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "decompress.h"
#include "formats.h"
#include "vmm/base/endian.h"

namespace vmm::linux_loader {
namespace {

using namespace std::string_view_literals;

/// Bytes at an offset of a file, at most eight, in the form of one masked word.
struct Magic {
  consteval Magic(std::size_t at, std::string_view text) : offset(at), size(text.size()) {
    for (std::size_t i = 0; i < size; ++i) {
      word |= std::uint64_t{static_cast<unsigned char>(text[i])} << (8 * i);
      mask |= std::uint64_t{0xff} << (8 * i);
    }
  }

  std::size_t offset;
  std::size_t size;
  std::uint64_t word = 0;
  std::uint64_t mask = 0;
};

bool has(std::span<const std::byte> head, const Magic& magic) {
  if (head.size() >= magic.offset + sizeof(magic.word)) [[likely]] {
    return (load_le<std::uint64_t>(head.data() + magic.offset) & magic.mask) == magic.word;
  }
  std::array<std::byte, sizeof(magic.word)> bytes{};
  if (!fits(magic.offset, magic.size, head.size())) return false;
  std::memcpy(bytes.data(), head.data() + magic.offset, magic.size);
  return load_le<std::uint64_t>(bytes.data()) == magic.word;
}

struct KnownMagic {
  Content content;
  Magic magic;
};

constexpr KnownMagic kMagics[] = {
    {Content::kElf,
     {0,
      "\x7f"
      "ELF"sv}},
    {Content::kBzImage, {0x202, "HdrS"sv}},
    {Content::kEfiZboot, {0, "MZ\0\0zimg"sv}},
    {Content::kArm64Image, {0x38, "ARM\x64"sv}},
    {Content::kRiscv64Image, {0x38, "RSC\x05"sv}},
    {Content::kGzip, {0, "\x1f\x8b"sv}},
    {Content::kZstd, {0, "\x28\xb5\x2f\xfd"sv}},
    {Content::kOtherCompressed, {0, "BZh"sv}},
    {Content::kOtherCompressed,
     {0,
      "\xfd"
      "7zXZ\0"sv}},
    {Content::kOtherCompressed, {0, "\x5d\0\0"sv}},
    {Content::kOtherCompressed, {0, "\x02\x21\x4c\x18"sv}},
    {Content::kOtherCompressed, {0, "\x04\x22\x4d\x18"sv}},
    {Content::kOtherCompressed, {0, "\x89LZO\0"sv}},
};

[[gnu::always_inline]] inline Result<LoadedKernel> load_plain(const Input& in, Content content) {
  switch (content) {
    case Content::kElf:
      return load_elf(in);
    case Content::kBzImage:
      if (in.options.arch != Arch::kX86_64) {
        return fail(make_wrong_architecture(Arch::kX86_64, in.options.arch));
      }
      return load_bz_image(in);
    case Content::kArm64Image:
      return load_image(in, Arch::kAarch64);
    case Content::kRiscv64Image:
      return load_image(in, Arch::kRiscv64);
    case Content::kUnknown:
      return fail(LoadError::kNotAKernel);
    default:  // compressed, and the caller does not unpack (again)
      return fail(LoadError::kUnsupportedCompression);
  }
}

std::uint64_t ram_bytes(vm_memory::MemoryView memory) {
  std::uint64_t sum = 0;
  for (const auto& region : memory.regions()) {
    sum = checked_add(sum, region.host.size()).value_or(~std::uint64_t{0});
  }
  return sum;
}

Result<LoadedKernel> load_compressed(const Input& in, const ImageSource& packed, Content content) {
  // An Image can't be larger than the RAM it goes to, and what is around an ELF's segments
  // (symbols) is held within the same bound.
  const std::uint64_t limit = std::min(ram_bytes(in.memory), in.options.max_decompressed);
  if (limit == 0) return fail(LoadError::kTooLarge);
  VMM_TRY(const Scratch scratch, Scratch::create(static_cast<std::size_t>(limit)));
  VMM_TRY(const std::size_t bytes, decompress(packed, content, scratch.bytes()));
  const auto plain = std::span<const std::byte>(scratch.bytes()).first(bytes);
  const ImageSource source = ImageSource::from_bytes(plain);
  const Input inner{in.memory, source, in.options, plain.first(std::min(bytes, kHeadBytes))};
  return load_plain(inner, detect(inner.head));
}

/// An EFI zboot image: "MZ", "zimg" at 4, payload offset at 8 and size at 12, the name of the
/// compression at 24 (include/linux/pe.h and drivers/firmware/efi/libstub/zboot-header.S).
Result<LoadedKernel> load_zboot(const Input& in) {
  if (in.head.size() < 56) return fail(LoadError::kTruncated);
  const auto offset = load_le<std::uint32_t>(in.head.data() + 8);
  const auto bytes = load_le<std::uint32_t>(in.head.data() + 12);
  VMM_TRY(const ImageSource packed, in.source.part(offset, bytes));
  if (has(in.head, {24, "gzip\0"sv})) return load_compressed(in, packed, Content::kGzip);
  if (has(in.head, {24, "zstd"sv})) return load_compressed(in, packed, Content::kZstd);
  return fail(LoadError::kUnsupportedCompression);
}

}  // namespace

Content detect(std::span<const std::byte> head) {
#pragma GCC unroll 16  // each then compares with constants
  for (const KnownMagic& known : kMagics) {
    if (has(head, known.magic)) return known.content;
  }
  return Content::kUnknown;
}

Result<LoadedKernel> load_kernel(vm_memory::MemoryView memory, const ImageSource& source,
                                 const LoadOptions& options) {
  if (source.size() == 0) return fail(LoadError::kEmpty);
  std::array<std::byte, kHeadBytes> scratch;
  const auto head_bytes =
      static_cast<std::size_t>(std::min<std::uint64_t>(source.size(), scratch.size()));
  VMM_TRY(const auto head, source.peek(0, std::span(scratch).first(head_bytes)));
  const Input in{memory, source, options, head};
  const Content content = detect(head);
  switch (content) {
    case Content::kEfiZboot:
      return load_zboot(in);
    case Content::kGzip:
    case Content::kZstd:
      return load_compressed(in, source, content);
    default:
      return load_plain(in, content);
  }
}

}  // namespace vmm::linux_loader
