// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include <catch2/catch.hpp>

#include "builders.h"

namespace vmm::linux_loader {
namespace {

using namespace testing;

ElfSegment note_segment(const Bytes& notes) {
  return {.type = 4, .paddr = 0, .memsz = notes.size(), .content = notes};
}

Bytes join(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

TEST_CASE("ELF segments go to their physical addresses plus the base", "[elf]") {
  struct Case {
    const char* name;
    std::optional<GuestAddress> base;
    std::uint64_t entry;
  };
  const auto c = GENERATE(values<Case>({
      {"no base", std::nullopt, 0x400},
      {"base 2 MiB", GuestAddress(0x200000), 0x200400},
  }));
  CAPTURE(c.name);
  const Ram ram(4 * kMiB);
  const Elf elf{.entry = 0x400, .segments = {{.paddr = 0x400}, {.paddr = 0x4000}}};
  const auto kernel = load(ram, build(elf), {.base = c.base});
  REQUIRE(kernel);
  CHECK(kernel->format == KernelFormat::kElf);
  CHECK(kernel->load.raw() == c.entry);
  CHECK(kernel->entry.raw() == c.entry);
  CHECK(kernel->end.raw() == c.entry - 0x400 + 0x5000);
  CHECK(kernel->setup_header.size == 0);
  CHECK(ram.at(c.entry) == std::byte{0x5a});
  CHECK(ram.at(c.entry + 0x100) == std::byte{0});  // BSS
  CHECK(ram.at(c.entry + 0xfff) == std::byte{0});
  CHECK(ram.untouched(0, c.entry));
  CHECK(ram.untouched(c.entry + 0x1000, c.entry - 0x400 + 0x4000));
  CHECK(ram.untouched(kernel->end.raw(), 4 * kMiB));
}

TEST_CASE("BSS is left alone when RAM is known to be zero", "[elf]") {
  const Ram ram(2 * kMiB);
  REQUIRE(load(ram, build(Elf{}), {.memory_is_zero = true}));
  CHECK(ram.untouched(0x100100, 2 * kMiB));
}

TEST_CASE("a segment without file contents is only zeroed", "[elf]") {
  const Ram ram(2 * kMiB);
  const Elf elf{.segments = {{},
                             {.paddr = 0x110000, .content = {}},
                             {.paddr = 0x120000, .content = {}, .offset = 0x1000'0000},
                             {.paddr = 9, .memsz = 0, .content = {}}}};
  const auto kernel = load(ram, build(elf), {});
  REQUIRE(kernel);
  CHECK(kernel->end.raw() == 0x121000);
  CHECK(ram.at(0x120fff) == std::byte{0});
  CHECK(kernel->load.raw() == 0x100000);
  CHECK(ram.at(0x110000) == std::byte{0});
  CHECK(ram.untouched(0, 0x100000));
}

TEST_CASE("a segment may span two adjacent regions", "[elf]") {
  Bytes low(0x1000, Ram::kPattern);
  Bytes high(0x1000, Ram::kPattern);
  const vm_memory::RegionSpan regions[] = {{GuestAddress(0x1000), low},
                                           {GuestAddress(0x2000), high}};
  const Elf elf{.entry = 0x1f80, .segments = {{.paddr = 0x1f80, .memsz = 0x180}}};
  const Bytes image = build(elf);
  const auto kernel =
      load_kernel(vm_memory::MemoryView(regions), ImageSource::from_bytes(image), {});
  REQUIRE(kernel);
  CHECK(low[0xfff] == std::byte{0x5a});
  CHECK(high[0x7f] == std::byte{0x5a});
  CHECK(high[0xff] == std::byte{0});
  CHECK(high[0x100] == Ram::kPattern);
}

TEST_CASE("ELF kernels load for every guest architecture on every host", "[elf]") {
  struct Case {
    std::uint16_t machine;
    Arch arch;
    std::size_t cmdline;
  };
  const auto c = GENERATE(values<Case>(
      {{62, Arch::kX86_64, 2048}, {183, Arch::kAarch64, 2048}, {243, Arch::kRiscv64, 1024}}));
  const Ram ram(2 * kMiB);
  for (const Arch guest : {Arch::kX86_64, Arch::kAarch64, Arch::kRiscv64}) {
    const auto kernel = load(ram, build(Elf{.machine = c.machine}), {.arch = guest});
    CHECK(kernel.has_value() == (guest == c.arch));
    if (kernel) {
      CHECK(kernel->cmdline_capacity == c.cmdline);
    } else {
      CHECK(is(kernel.error(), LoadError::kWrongArchitecture));
    }
  }
}

TEST_CASE("a virtual entry point is translated through its segment", "[elf]") {
  const Ram ram(2 * kMiB, 0x80000000);
  const Elf elf{.machine = 243,
                .type = 3,
                .entry = 0xffffffff80000010,
                .segments = {{.paddr = 0, .vaddr = 0xffffffff80000000}}};
  const auto kernel =
      load(ram, build(elf), {.arch = Arch::kRiscv64, .base = GuestAddress(0x80000000)});
  REQUIRE(kernel);
  CHECK(kernel->entry.raw() == 0x80000010);
  CHECK(kernel->load.raw() == 0x80000000);
}

TEST_CASE("the PVH note gives a 32-bit entry", "[elf][pvh]") {
  const std::string_view xen("Xen\0", 4);
  Bytes desc8;
  put<std::uint64_t>(desc8, 0, 0x100010);
  struct Case {
    const char* name;
    Bytes notes;
    std::optional<std::uint64_t> entry;
  };
  const auto c = GENERATE_COPY(values<Case>({
      {"alone", pvh_note(0x100010), 0x100010},
      {"8-byte desc", note(18, xen, desc8), 0x100010},
      {"behind notes with odd sizes",
       join({note(6, xen, Bytes(6)), note(1, "GNU", Bytes(41)), pvh_note(0x100010)}), 0x100010},
      {"behind many notes", join({Bytes(12 * 1300), pvh_note(0x100010)}), 0x100010},
      {"another owner", note(18, std::string_view("XEN\0", 4), desc8), std::nullopt},
      {"another type", note(17, xen, desc8), std::nullopt},
      {"a longer name", note(18, std::string_view("Xen\0\0", 5), desc8), std::nullopt},
      {"empty", {}, std::nullopt},
      {"less than a header", Bytes(11), std::nullopt},
  }));
  CAPTURE(c.name);
  const Ram ram(2 * kMiB);
  const Bytes image = build(Elf{.segments = {{}, note_segment(c.notes)}});
  const auto kernel = load(ram, image, {});
  REQUIRE(kernel);
  CHECK(kernel->pvh_entry.has_value() == c.entry.has_value());
  if (c.entry && kernel->pvh_entry) CHECK(kernel->pvh_entry->raw() == *c.entry);
}

TEST_CASE("no entry is below high memory, that of PVH neither", "[elf][pvh]") {
  const Ram ram(2 * kMiB);
  const Bytes image = build(Elf{.segments = {{}, note_segment(pvh_note(0x100010))}});
  const std::uint64_t entry = load(ram, image, {})->entry.raw();
  REQUIRE(entry < 0x100010);
  struct Row {
    std::uint64_t high_memory;
    bool taken;
  };
  for (const Row& row : {Row{entry, true}, Row{entry + 1, false}}) {
    const auto kernel = load(ram, image, {.high_memory = GuestAddress(row.high_memory)});
    CHECK(kernel.has_value() == row.taken);
    if (!kernel) CHECK(is(kernel.error(), LoadError::kBadEntry));
  }
  const Bytes low = build(Elf{.segments = {{}, note_segment(pvh_note(0x7000))}});
  CHECK(load(ram, low, {.high_memory = GuestAddress(0x7000)}));
  const auto refused = load(ram, low, {.high_memory = GuestAddress(0x7001)});
  REQUIRE_FALSE(refused);
  CHECK(is(refused.error(), LoadError::kBadEntry));
}

TEST_CASE("a moved kernel and one for another processor have no PVH entry", "[elf][pvh]") {
  const Ram ram(4 * kMiB);
  const Elf elf{.segments = {{}, note_segment(pvh_note(0x100010))}};
  const auto moved = load(ram, build(elf), {.base = GuestAddress(kMiB)});
  REQUIRE(moved);
  CHECK_FALSE(moved->pvh_entry);
  Elf arm = elf;
  arm.machine = 183;
  const auto other = load(ram, build(arm), {.arch = Arch::kAarch64});
  REQUIRE(other);
  CHECK_FALSE(other->pvh_entry);
}

Bytes huge_note(std::uint32_t name_bytes, std::uint32_t desc_bytes) {
  Bytes bytes;
  put(bytes, 0, name_bytes);
  put(bytes, 4, desc_bytes);
  put<std::uint32_t>(bytes, 8, 18);
  put(bytes, 12, std::string_view("Xen\0\x10\0\x10\0", 8));
  return bytes;
}

TEST_CASE("hostile notes end the search or are refused", "[elf][pvh][hostile]") {
  struct Case {
    const char* name;
    Bytes notes;
    std::optional<LoadError> expected;  // none: loads without an entry
  };
  const auto c = GENERATE(values<Case>({
      {"desc of 3 bytes", huge_note(4, 3), LoadError::kBadPvhNote},
      {"desc of 0 bytes", huge_note(4, 0), LoadError::kBadPvhNote},
      {"no room for the desc", note(18, std::string_view("Xen\0", 4), {}), LoadError::kBadPvhNote},
      {"a desc larger than the segment", huge_note(4, 5), LoadError::kBadPvhNote},
      {"largest name", huge_note(~0u, 4), LoadError::kOverflow},
      {"a name of 2^32 bytes when padded", huge_note(~0u - 2, 4), LoadError::kOverflow},
      {"a desc of 2^32 bytes when padded", huge_note(4, ~0u - 2), LoadError::kOverflow},
      {"largest name and desc", join({huge_note(~0u, ~0u), pvh_note(0x100010)}),
       LoadError::kOverflow},
      {"a desc of another note that is 2^32 bytes when padded",
       join({[] {
               Bytes other = huge_note(4, ~0u - 2);
               put<std::uint32_t>(other, 8, 17);
               return other;
             }(),
             pvh_note(0x100010)}),
       LoadError::kOverflow},
      {"a sum that wraps in 32 bits", join({huge_note(~0u - 3, 4), pvh_note(0x100010)}),
       std::nullopt},
      {"behind more notes than a kernel has", join({Bytes(12 * 1400), pvh_note(0x100010)}),
       std::nullopt},
      {"an entry outside RAM", pvh_note(~0u), LoadError::kBadEntry},
  }));
  CAPTURE(c.name);
  const Ram ram(2 * kMiB);
  const auto kernel = load(ram, build(Elf{.segments = {{}, note_segment(c.notes)}}), {});
  REQUIRE(kernel.has_value() == !c.expected);
  if (kernel) {
    CHECK_FALSE(kernel->pvh_entry);
  } else {
    CHECK(is(kernel.error(), *c.expected));
    CHECK(ram.untouched());
  }
}

TEST_CASE("a bad ELF is refused before anything is written", "[elf][hostile]") {
  struct Case {
    const char* name;
    Elf elf;
    LoadOptions options;
    LoadError expected;
  };
  const auto c = GENERATE(values<Case>({
      {"32-bit", {.elf_class = 1}, {}, LoadError::kElfClass},
      {"big-endian", {.data = 2}, {}, LoadError::kElfByteOrder},
      {"an object file", {.type = 1}, {}, LoadError::kElfType},
      {"an unknown machine", {.machine = 40}, {}, LoadError::kWrongArchitecture},
      {"program headers of 55 bytes", {.phentsize = 55}, {}, LoadError::kElfHeaderTable},
      {"program headers of 57 bytes", {.phentsize = 57}, {}, LoadError::kElfHeaderTable},
      {"program headers inside the header", {.phoff = 63}, {}, LoadError::kElfHeaderTable},
      {"program headers at 2^64 - 1", {.phoff = kTop}, {}, LoadError::kTruncated},
      {"program headers past the end", {.phoff = 0x1000}, {}, LoadError::kTruncated},
      {"no program headers", {.phnum = 0, .segments = {}}, {}, LoadError::kElfNothingToLoad},
      {"129 program headers", {.phnum = 129}, {}, LoadError::kElfHeaderTable},
      {"65535 program headers", {.phnum = 65535}, {}, LoadError::kElfHeaderTable},
      {"128 program headers, not there", {.phnum = 128}, {}, LoadError::kTruncated},
      {"no program headers, nor a place for them",
       {.phoff = 0, .phentsize = 0, .phnum = 0, .segments = {}},
       {},
       LoadError::kElfNothingToLoad},
      {"nothing to load", {.segments = {{.type = 4}}}, {}, LoadError::kElfNothingToLoad},
      {"only empty segments",
       {.segments = {{.memsz = 0, .content = {}}}},
       {},
       LoadError::kElfNothingToLoad},
      {"more in the file than in memory",
       {.segments = {{.memsz = 0xff}}},
       {},
       LoadError::kElfSegment},
      {"contents past the end", {.segments = {{.offset = 0x1000}}}, {}, LoadError::kTruncated},
      {"contents at 2^64 - 1", {.segments = {{.offset = kTop}}}, {}, LoadError::kTruncated},
      {"huge contents", {.segments = {{.memsz = kTop, .filesz = kTop}}}, {}, LoadError::kTruncated},
      {"overlap in one byte", {.segments = {{}, {.paddr = 0x100fff}}}, {}, LoadError::kElfOverlap},
      {"the same place twice", {.segments = {{}, {}}}, {}, LoadError::kElfOverlap},
      {"one inside BSS of the other",
       {.segments = {{}, {.paddr = 0x100800, .memsz = 0x100}}},
       {},
       LoadError::kElfOverlap},
      {"address at 2^64", {.segments = {{.paddr = kTop}}}, {}, LoadError::kOverflow},
      {"end beyond 2^64",
       {.segments = {{.paddr = kTop, .vaddr = 0x1000}}},
       {},
       LoadError::kOverflow},
      {"virtual address at 2^64", {.segments = {{.vaddr = kTop - 1}}}, {}, LoadError::kOverflow},
      {"address plus base wraps", {}, {.base = GuestAddress(kTop)}, LoadError::kOverflow},
      {"BSS past RAM", {.segments = {{.memsz = 0x100001}}}, {}, LoadError::kOutsideRam},
      {"huge BSS", {.segments = {{.memsz = kTop / 2}}}, {}, LoadError::kOutsideRam},
      {"contents past RAM", {.segments = {{.paddr = 0x1fff80}}}, {}, LoadError::kOutsideRam},
      {"note contents past the end",
       {.segments = {{}, {.type = 4, .offset = kTop - 4}}},
       {},
       LoadError::kTruncated},
      {"note contents past the end, behind what is looked at",
       {.segments = {{}, {.type = 4, .content = Bytes(17000), .filesz = 17001}}},
       {},
       LoadError::kTruncated},
      {"entry below high memory",
       {.segments = {{.paddr = 0xff000}}},
       {.high_memory = GuestAddress(0x100001)},
       LoadError::kBadEntry},
      {"entry outside RAM", {.entry = 0x200000}, {}, LoadError::kBadEntry},
      {"entry plus base wraps",
       {.entry = kTop},
       {.base = GuestAddress(0x1000)},
       LoadError::kOverflow},
  }));
  CAPTURE(c.name);
  const Ram ram(2 * kMiB);
  const auto kernel = load(ram, build(c.elf), c.options);
  REQUIRE_FALSE(kernel);
  CAPTURE(to_string(kernel.error()));
  CHECK(is(kernel.error(), c.expected));
  CHECK(ram.untouched());
}

TEST_CASE("an ELF cut at any byte is refused", "[elf][hostile]") {
  const Ram ram(2 * kMiB);
  const Bytes whole = build(Elf{.segments = {{}, note_segment(pvh_note(0x100010))}});
  for (std::size_t bytes = 0; bytes < whole.size(); ++bytes) {
    const Bytes cut(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(bytes));
    const auto kernel = load(ram, cut, {});
    REQUIRE_FALSE(kernel);
    CHECK(ram.untouched());
  }
}

}  // namespace
}  // namespace vmm::linux_loader
