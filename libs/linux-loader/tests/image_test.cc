// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <array>
#include <catch2/catch.hpp>
#include <cerrno>

#include "builders.h"
#include "compressed.h"

namespace vmm::linux_loader {
namespace {

using namespace testing;

TEST_CASE("an Image goes to its text offset behind the base", "[image]") {
  struct Case {
    const char* name;
    Image image;
    std::optional<GuestAddress> base;
    std::uint64_t load;
    std::uint64_t bytes;
  };
  const auto c = GENERATE(values<Case>({
      {"arm64", {}, GuestAddress(0x200000), 0x200000, 0x3000},
      {"arm64 with a text offset",
       {.text_offset = 0x1000},
       GuestAddress(0x200000),
       0x201000,
       0x3000},
      {"old arm64: no image_size",
       {.text_offset = 7, .image_size = 0},
       GuestAddress(0x200000),
       0x280000,
       0x1000},
      {"riscv64",
       {.arm = false, .text_offset = 0x200000},
       GuestAddress(0x200000),
       0x400000,
       0x3000},
      {"riscv64 without image_size",
       {.arm = false, .image_size = 0},
       GuestAddress(0x200000),
       0x200000,
       0x1000},
      {"no base: the first 2 MiB boundary in RAM", {}, std::nullopt, 0x200000, 0x3000},
      {"image_size below the file's", {.image_size = 1}, std::nullopt, 0x200000, 0x1000},
  }));
  CAPTURE(c.name);
  const Ram ram(8 * kMiB, 0x1000);
  const Arch arch = c.image.arm ? Arch::kAarch64 : Arch::kRiscv64;
  const auto kernel = load(ram, build(c.image), {.arch = arch, .base = c.base});
  REQUIRE(kernel);
  CHECK(kernel->format == (c.image.arm ? KernelFormat::kArm64Image : KernelFormat::kRiscv64Image));
  CHECK(kernel->load.raw() == c.load);
  CHECK(kernel->entry.raw() == c.load);
  CHECK(kernel->end.raw() == c.load + c.bytes);
  CHECK(kernel->cmdline_capacity == (c.image.arm ? 2048 : 1024));
  CHECK(ram.at(c.load + 0xfff) == std::byte{0x5a});
  CHECK(ram.untouched(0x1000, c.load));
  CHECK(ram.untouched(c.load + 0x1000, 8 * kMiB + 0x1000));
}

TEST_CASE("an arm64 kernel reaches 32 GiB from its own GiB on", "[image]") {
  constexpr std::uint64_t kGiB = 1024 * kMiB;
  struct Case {
    bool arm;
    std::uint64_t base;
    std::uint64_t limit;
  };
  const auto c = GENERATE(values<Case>({{true, kGiB, 33 * kGiB},
                                        {true, 2 * kGiB - 2 * kMiB, 33 * kGiB},
                                        {true, 0, 32 * kGiB},
                                        {true, kTop - 0x3fffff, kTop},
                                        {false, kGiB, kTop}}));
  CAPTURE(c.arm, c.base);
  const Ram ram(2 * kMiB, c.base);
  const auto kernel =
      load(ram, build(Image{.arm = c.arm}), {.arch = c.arm ? Arch::kAarch64 : Arch::kRiscv64});
  REQUIRE(kernel);
  CHECK(kernel->initrd_limit.raw() == c.limit);
}

TEST_CASE("a bad Image is refused before anything is written", "[image][hostile]") {
  struct Case {
    const char* name;
    Image image;
    LoadOptions options;
    LoadError expected;
  };
  const LoadOptions arm{.arch = Arch::kAarch64};
  const auto at = [](std::uint64_t base) {
    return LoadOptions{.arch = Arch::kAarch64, .base = GuestAddress(base)};
  };
  const auto c = GENERATE_COPY(values<Case>({
      {"a base of 3 MiB", {}, at(0x300000), LoadError::kMisaligned},
      {"a base near 2^64", {.image_size = kTop}, at(kTop - 0x1fffff), LoadError::kOverflow},
      {"a huge text offset", {.text_offset = kTop}, at(0x200000), LoadError::kOverflow},
      {"a huge image_size", {.image_size = kTop}, at(0x200000), LoadError::kOverflow},
      {"the largest image_size", {.image_size = kTop}, at(0), LoadError::kOutsideRam},
      {"image_size past RAM", {.image_size = 0x200001}, at(0x200000), LoadError::kOutsideRam},
      {"text offset past RAM", {.text_offset = 0x400000}, arm, LoadError::kOutsideRam},
      {"for another guest", {}, {.arch = Arch::kX86_64}, LoadError::kWrongArchitecture},
      {"riscv64 for an arm64 guest", {.arm = false}, arm, LoadError::kWrongArchitecture},
      {"below high memory",
       {},
       {.arch = Arch::kAarch64, .base = GuestAddress(0), .high_memory = GuestAddress(kMiB)},
       LoadError::kBadEntry},
  }));
  CAPTURE(c.name);
  const Ram ram(4 * kMiB);
  const auto kernel = load(ram, build(c.image), c.options);
  REQUIRE_FALSE(kernel);
  CAPTURE(to_string(kernel.error()));
  CHECK(is(kernel.error(), c.expected));
  CHECK(ram.untouched());
}

TEST_CASE("an Image that is a PE file is as long as its sections say", "[image][hostile]") {
  struct Case {
    const char* name;
    std::uint32_t start, size;  // of the last section
    std::uint32_t table_words;  // sections
    bool good;
    std::uint16_t mz = 0x5a4d;
    std::uint32_t pe = 0x40;
    std::uint32_t magic = 0x4550;
  };
  const auto c = GENERATE(values<Case>({
      {"to the last byte", 0x800, 0x800, 2, true},
      {"one byte more", 0x800, 0x801, 2, false},
      {"behind the file", 0x1001, 0, 2, false},
      {"an end that wraps in 32 bits", 0xffff'ffff, 2, 2, false},
      {"a table that is no part of the head says nothing", 0x800, 0x801, 0xffff, true},
      {"no MZ", 0x800, 0x801, 2, true, 0x5a4e},
      {"no PE", 0x800, 0x801, 2, true, 0x5a4d, 0x40, 0x4551},
      {"a PE header behind the head", 0x800, 0x801, 2, true, 0x5a4d, 4096 - 23},
      {"a PE header nowhere", 0x800, 0x801, 2, true, 0x5a4d, ~0u},
  }));
  CAPTURE(c.name);
  std::vector<std::byte> file = build(Image{});
  const auto put = [&file]<class T>(std::size_t at, T value) { store_le<T>(&file[at], value); };
  put(0, c.mz);
  put(0x3c, c.pe);
  put(0x40, c.magic);
  put(0x46, static_cast<std::uint16_t>(c.table_words));
  put(0x54, std::uint16_t{0xa0});
  put(0xf8 + 16, std::uint32_t{0x700});
  put(0xf8 + 20, std::uint32_t{0x100});
  put(0x120 + 16, c.size);
  put(0x120 + 20, c.start);
  const Ram ram(8 * kMiB, 0x1000);
  const auto kernel = load(ram, file, {.arch = Arch::kAarch64});
  CHECK(kernel.has_value() == c.good);
  if (!kernel) CHECK(is(kernel.error(), LoadError::kTruncated));
}

TEST_CASE("a header cut short and RAM without room for a base are refused", "[image][hostile]") {
  Bytes image = build(Image{});
  image.resize(63);
  const Ram ram(4 * kMiB);
  const auto cut = load(ram, image, {.arch = Arch::kAarch64});
  REQUIRE_FALSE(cut);
  CHECK(is(cut.error(), LoadError::kTruncated));
  const auto none =
      load_kernel({}, ImageSource::from_bytes(build(Image{})), {.arch = Arch::kAarch64});
  REQUIRE_FALSE(none);
  CHECK(is(none.error(), LoadError::kOutsideRam));
  const Ram top(0x1000, kTop - 0x1fff);
  const auto beyond = load(top, build(Image{}), {.arch = Arch::kAarch64});
  REQUIRE_FALSE(beyond);
  CHECK(is(beyond.error(), LoadError::kOutsideRam));
}

Bytes zboot(const Bytes& packed, std::string_view name) {
  Bytes image;
  put(image, 0, std::string_view("MZ\0\0zimg", 8));
  put<std::uint32_t>(image, 8, 0x100);
  put<std::uint32_t>(image, 12, static_cast<std::uint32_t>(packed.size()));
  put(image, 24, name);
  image.resize(0x100);
  image.insert(image.end(), packed.begin(), packed.end());
  return image;
}

Bytes packed(std::string_view how, const Bytes& plain) {
  if (how == "gzip") return gzip(plain);
  if (how == "zstd") return zstd(plain);
  if (how == "zboot gzip") return zboot(gzip(plain), "gzip");
  return zboot(zstd(plain), "zstd22");
}

TEST_CASE("compressed kernels load like plain ones", "[image][compressed]") {
  const std::string_view how = GENERATE("gzip", "zstd", "zboot gzip", "zboot zstd");
  CAPTURE(how);
  const Ram ram(4 * kMiB);
  const Bytes image = build(Image{.bytes = 300000});
  const auto arm = load(ram, packed(how, image), {.arch = Arch::kAarch64});
  REQUIRE(arm);
  CHECK(arm->format == KernelFormat::kArm64Image);
  CHECK(arm->end.raw() == 300000);
  CHECK(ram.at(299999) == std::byte{0x5a});
  CHECK(ram.untouched(300000, 4 * kMiB));
  const auto elf = load(ram, packed(how, build(Elf{})), {});
  REQUIRE(elf);
  CHECK(elf->format == KernelFormat::kElf);
}

TEST_CASE("bytes behind the compressed stream are ignored", "[image][compressed]") {
  const std::string_view how = GENERATE("gzip", "zstd");
  const Ram ram(4 * kMiB);
  Bytes image = packed(how, build(Elf{}));
  image.resize(image.size() + 700);
  CHECK(load(ram, image, {}));
}

TEST_CASE("a stream that grows past the limit is refused, whoever sets it",
          "[image][compressed][hostile]") {
  const std::string_view how = GENERATE("gzip", "zstd", "zboot gzip", "zboot zstd");
  CAPTURE(how);
  const Bytes bomb = packed(how, build(Image{.bytes = 3 * kMiB}));
  struct Case {
    std::uint64_t ram;
    std::uint64_t limit;
    bool fits;
  };
  const auto c = GENERATE(values<Case>({{2 * kMiB, kTop, false},
                                        {8 * kMiB, 3 * kMiB - 1, false},
                                        {8 * kMiB, 0, false},
                                        {8 * kMiB, 3 * kMiB, true}}));
  const Ram ram(c.ram);
  const auto kernel = load(ram, bomb, {.arch = Arch::kAarch64, .max_decompressed = c.limit});
  REQUIRE(kernel.has_value() == c.fits);
  if (!kernel) CHECK(is(kernel.error(), LoadError::kTooLarge));
}

TEST_CASE("a zboot image without a whole header is refused", "[image][compressed][hostile]") {
  Bytes image = zboot({}, "gzip");
  put<std::uint32_t>(image, 8, 0);
  put<std::uint32_t>(image, 12, 8);
  image.resize(55);
  const Ram ram(2 * kMiB);
  const auto kernel = load(ram, image, {});
  REQUIRE_FALSE(kernel);
  CHECK(is(kernel.error(), LoadError::kTruncated));
}

/// Guest memory with room for an ELF, that claims to be of `bytes` bytes, once or twice.
struct Claims {
  Claims(std::uint64_t bytes, std::size_t regions) : count(regions) {
    spans[0] = {GuestAddress(0), std::span(ram.data(), bytes)};
    spans[1] = {GuestAddress(bytes), std::span(ram.data(), bytes)};
  }
  [[nodiscard]] vm_memory::MemoryView view() const {
    return vm_memory::MemoryView(std::span(spans).first(count));
  }

  Bytes ram = Bytes(2 * kMiB);
  std::array<vm_memory::RegionSpan, 2> spans;
  std::size_t count;
};

TEST_CASE("more RAM than numbers hold is a limit like any other", "[image][compressed]") {
  const Claims memory(std::uint64_t{1} << 63, 2);
  CHECK(load_kernel(memory.view(), ImageSource::from_bytes(gzip(build(Elf{}))),
                    {.max_decompressed = kMiB}));
}

TEST_CASE("address space for a decompressed kernel that is not to be had is an error",
          "[image][compressed][hostile]") {
  const Claims memory(std::uint64_t{1} << 62, 1);
  const auto kernel = load_kernel(memory.view(), ImageSource::from_bytes(gzip(build(Elf{}))),
                                  {.max_decompressed = kTop});
  REQUIRE_FALSE(kernel);
  CHECK(kernel.error().is_os(ENOMEM));
}

TEST_CASE("a compressed kernel cut at any byte is refused", "[image][compressed][hostile]") {
  const std::string_view how = GENERATE("gzip", "zstd", "zboot gzip", "zboot zstd");
  CAPTURE(how);
  const Ram ram(2 * kMiB);
  const Bytes whole = packed(how, build(Elf{}));
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes));
    CHECK_FALSE(load(ram, cut, {}));
  }
  CHECK(ram.untouched());
}

TEST_CASE("what cannot be decompressed is named", "[image][compressed][hostile]") {
  Bytes bad_gzip = gzip(build(Elf{}));
  bad_gzip[20] ^= std::byte{0xff};
  Bytes bad_sum = gzip(build(Elf{}));
  bad_sum[bad_sum.size() - 6] ^= std::byte{1};
  Bytes bad_zstd = zstd(build(Elf{}));
  bad_zstd[6] ^= std::byte{0xff};
  const Bytes elf = build(Elf{});
  Bytes past_end = zboot(gzip(elf), "gzip");
  put<std::uint32_t>(past_end, 12, ~0u);
  struct Case {
    const char* name;
    Bytes image;
    LoadError expected;
  };
  const auto text = [](std::string_view magic) {
    Bytes bytes;
    put(bytes, 0, magic);
    bytes.resize(100);
    return bytes;
  };
  const auto c = GENERATE_COPY(values<Case>({
      {"damaged gzip", bad_gzip, LoadError::kCorrupt},
      {"gzip with a wrong checksum", bad_sum, LoadError::kCorrupt},
      {"damaged zstd", bad_zstd, LoadError::kCorrupt},
      {"gzip in gzip", gzip(gzip(elf)), LoadError::kUnsupportedCompression},
      {"zboot in zstd", zstd(zboot(gzip(elf), "gzip")), LoadError::kUnsupportedCompression},
      {"zboot with lzma", zboot(gzip(elf), "lzma"), LoadError::kUnsupportedCompression},
      {"zboot that says zstd and holds gzip", zboot(gzip(elf), "zstd22"), LoadError::kCorrupt},
      {"zboot payload past the end", past_end, LoadError::kTruncated},
      {"no kernel inside", gzip(Bytes(100)), LoadError::kNotAKernel},
      {"nothing inside", gzip({}), LoadError::kNotAKernel},
      {"bzip2", text("BZh91AY"), LoadError::kUnsupportedCompression},
      {"xz",
       text(std::string_view("\xfd"
                             "7zXZ\0",
                             6)),
       LoadError::kUnsupportedCompression},
  }));
  CAPTURE(c.name);
  const Ram ram(2 * kMiB);
  const auto kernel = load(ram, c.image, {});
  REQUIRE_FALSE(kernel);
  CAPTURE(to_string(kernel.error()));
  CHECK(is(kernel.error(), c.expected));
  CHECK(ram.untouched());
}

}  // namespace
}  // namespace vmm::linux_loader
