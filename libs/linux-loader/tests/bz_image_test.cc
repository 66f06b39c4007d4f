// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <catch2/catch.hpp>

#include "builders.h"

namespace vmm::linux_loader {
namespace {

using namespace testing;

TEST_CASE("a bzImage goes to its start address, or where the caller says", "[bzimage]") {
  struct Case {
    const char* name;
    std::optional<std::uint64_t> base;
    std::uint64_t load;
  };
  const auto c = GENERATE(values<Case>({
      {"no base: code32_start", std::nullopt, 0x100000},
      {"a base", 0x200000, 0x200000},
  }));
  CAPTURE(c.name);
  const Ram ram(8 * kMiB);
  LoadOptions options{.high_memory = GuestAddress(0x100000)};
  if (c.base) options.base = GuestAddress(*c.base);
  const auto kernel = load(ram, build(BzImage{}), options);
  REQUIRE(kernel);
  CHECK(kernel->format == KernelFormat::kBzImage);
  CHECK(kernel->load.raw() == c.load);
  CHECK(kernel->end.raw() == c.load + 0x1000);
  CHECK(kernel->entry.raw() == c.load + 0x200);
  CHECK_FALSE(kernel->entry_is_32bit);
  CHECK_FALSE(kernel->pvh_entry);
  CHECK(kernel->cmdline_capacity == 2048);
  CHECK(kernel->initrd_limit.raw() == 0x80000000);
  CHECK(ram.at(c.load) == std::byte{0x5a});
  CHECK(ram.at(c.load + 0xfff) == std::byte{0x5a});
  CHECK(ram.untouched(0, c.load));
  CHECK(ram.untouched(c.load + 0x1000, 8 * kMiB));
}

TEST_CASE("the setup header is handed out as in the file, with code32_start as loaded",
          "[bzimage]") {
  const Ram ram(8 * kMiB);
  const Bytes image = build(BzImage{});
  const auto kernel = load(ram, image, {.base = GuestAddress(0x200000)});
  REQUIRE(kernel);
  const auto header = kernel->setup_header.bytes();
  REQUIRE(header.size() == 0x26c - 0x1f1);  // as the jump says
  CHECK(load_le<std::uint32_t>(header.data() + (0x214 - 0x1f1)) == 0x200000);
  for (std::size_t i = 0; i < header.size(); ++i) {
    if (i < 0x214 - 0x1f1 || i >= 0x218 - 0x1f1) CHECK(header[i] == image[0x1f1 + i]);
  }
}

TEST_CASE("a jump beyond the zero page's room does not lengthen the setup header",
          "[bzimage][hostile]") {
  const Ram ram(8 * kMiB);
  Bytes image = build(BzImage{});
  const int jump = GENERATE(0, 0xff);
  image[0x201] = static_cast<std::byte>(jump);
  const auto kernel = load(ram, image, {});
  REQUIRE(kernel);
  CHECK(kernel->setup_header.size == (jump == 0 ? 0x264 : 0x290) - 0x1f1);
}

TEST_CASE("setup_sects 0 means 4", "[bzimage]") {
  const Ram ram(4 * kMiB);
  Bytes image = build(BzImage{.setup_sects = 0});
  REQUIRE(image.size() == 5 * 512 + 0x1000);
  const auto kernel = load(ram, image, {});
  REQUIRE(kernel);
  CHECK(kernel->end.raw() - kernel->load.raw() == 0x1000);
}

TEST_CASE("the end of a bzImage includes the memory it decompresses itself into", "[bzimage]") {
  struct Case {
    const char* name;
    BzImage image;
    std::uint64_t base;
    std::uint64_t end;
  };
  const auto c = GENERATE(values<Case>({
      {"below the preferred address", {.init_size = 0x300000}, 0x100000, 0x500000},
      {"above it, aligned up", {.init_size = 0x300000}, 0x300000, 0x700000},
      {"fixed at the preferred address",
       {.relocatable = 0, .init_size = 0x300000},
       0x300000,
       0x500000},
      {"smaller than the file", {.init_size = 0x10}, 0x300000, 0x400010},
      {"a protocol without the field",
       {.version = 0x209, .init_size = 0x300000},
       0x300000,
       0x301000},
  }));
  CAPTURE(c.name);
  const Ram ram(8 * kMiB);
  const auto kernel = load(ram, build(c.image), {.base = GuestAddress(c.base)});
  REQUIRE(kernel);
  CHECK(kernel->end.raw() == c.end);
}

TEST_CASE("fields that an old boot protocol lacks have their defaults", "[bzimage]") {
  const Ram ram(4 * kMiB);
  const auto kernel = load(ram, build(BzImage{.version = 0x200}), {});
  REQUIRE(kernel);
  CHECK(kernel->cmdline_capacity == 256);
  CHECK(kernel->initrd_limit.raw() == 0x38000000);
  CHECK(kernel->entry_is_32bit);
  CHECK(kernel->entry == kernel->load);
}

TEST_CASE("a kernel without the 64-bit flag is entered in 32-bit mode", "[bzimage]") {
  const Ram ram(4 * kMiB);
  const auto kernel = load(ram, build(BzImage{.xloadflags = 2}), {});
  REQUIRE(kernel);
  CHECK(kernel->entry_is_32bit);
  CHECK(kernel->entry == kernel->load);
}

TEST_CASE("a bad bzImage is refused before anything is written", "[bzimage][hostile]") {
  struct Case {
    const char* name;
    BzImage image;
    LoadOptions options;
    LoadError expected;
  };
  const auto c = GENERATE(values<Case>({
      {"version below 2.00", {.version = 0x1ff}, {}, LoadError::kBzImageVersion},
      {"a zImage", {.loadflags = 0x80}, {}, LoadError::kBzImageLow},
      {"start below high memory",
       {.code32_start = 0xfffff},
       {.high_memory = GuestAddress(kMiB)},
       LoadError::kBzImageStart},
      {"start below high memory, base above it",
       {.code32_start = 0xfffff},
       {.base = GuestAddress(2 * kMiB), .high_memory = GuestAddress(kMiB)},
       LoadError::kBzImageStart},
      {"base below high memory",
       {},
       {.base = GuestAddress(0), .high_memory = GuestAddress(kMiB)},
       LoadError::kBzImageStart},
      {"no payload", {.payload_bytes = 0}, {}, LoadError::kTruncated},
      {"less payload than syssize", {.syssize = 0x101}, {}, LoadError::kTruncated},
      {"huge syssize", {.syssize = ~0u}, {}, LoadError::kTruncated},
      {"payload past RAM", {.code32_start = 0x3ff001}, {}, LoadError::kOutsideRam},
      {"start outside RAM", {.code32_start = ~0u}, {}, LoadError::kOutsideRam},
      {"base near 2^64", {}, {.base = GuestAddress(kTop - 0x100)}, LoadError::kOutsideRam},
      {"base above 4 GiB", {}, {.base = GuestAddress(kTop - 0x10000)}, LoadError::kOutsideRam},
      {"init_size past RAM", {.init_size = 0x200001}, {}, LoadError::kOutsideRam},
      {"init_size past 2^64", {.pref_address = kTop, .init_size = 2}, {}, LoadError::kOutsideRam},
      {"preferred address outside RAM",
       {.pref_address = kTop - 0x1000, .init_size = 2},
       {},
       LoadError::kOutsideRam},
      {"alignment no power of two", {.alignment = 3, .init_size = 2}, {}, LoadError::kOverflow},
      {"aarch64 guest", {}, {.arch = Arch::kAarch64}, LoadError::kWrongArchitecture},
  }));
  CAPTURE(c.name);
  const Ram ram(4 * kMiB);
  const auto kernel = load(ram, build(c.image), c.options);
  REQUIRE_FALSE(kernel);
  CAPTURE(to_string(kernel.error()));
  CHECK(is(kernel.error(), c.expected));
  CHECK(ram.untouched());
}

TEST_CASE("a bzImage stays below 4 GiB, whatever RAM there is", "[bzimage][hostile]") {
  const Ram ram(kMiB, std::uint64_t{1} << 32);
  const auto kernel = load(ram, build(BzImage{}), {.base = GuestAddress(std::uint64_t{1} << 32)});
  REQUIRE_FALSE(kernel);
  CHECK(is(kernel.error(), LoadError::kOutsideRam));
  CHECK(ram.untouched());
}

TEST_CASE("syssize that was rounded up to 16 bytes is not a truncation", "[bzimage]") {
  const Ram ram(4 * kMiB);
  CHECK(load(ram, build(BzImage{.syssize = 0x100}), {}));
  CHECK(load(ram, build(BzImage{.syssize = 0x100, .payload_bytes = 0xff1}), {}));
  CHECK_FALSE(load(ram, build(BzImage{.syssize = 0x100, .payload_bytes = 0xff0}), {}));
}

TEST_CASE("a bzImage cut at any byte of its setup is refused", "[bzimage][hostile]") {
  const Ram ram(4 * kMiB);
  const Bytes whole = build(BzImage{.syssize = 0x100});
  for (std::size_t bytes = 0; bytes < whole.size(); bytes += bytes < 0x420 ? 1 : 97) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes));
    if (load(ram, cut, {})) CHECK(bytes > whole.size() - 16);
  }
}

}  // namespace
}  // namespace vmm::linux_loader
