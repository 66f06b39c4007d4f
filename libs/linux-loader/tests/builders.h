// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Small kernel images for tests, and RAM to load them into.

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string_view>
#include <vector>

#include "vmm/base/endian.h"
#include "vmm/linux_loader/kernel.h"

namespace vmm::linux_loader::testing {

using Bytes = std::vector<std::byte>;

inline constexpr std::uint64_t kMiB = 1 << 20;
inline constexpr std::uint64_t kTop = ~std::uint64_t{0};

template <std::unsigned_integral T>
void put(Bytes& to, std::size_t offset, T value) {
  if (to.size() < offset + sizeof(T)) to.resize(offset + sizeof(T));
  store_le(to.data() + offset, value);
}

inline void put(Bytes& to, std::size_t offset, std::string_view text) {
  if (to.size() < offset + text.size()) to.resize(offset + text.size());
  std::memcpy(to.data() + offset, text.data(), text.size());
}

/// One region of guest RAM, filled with a pattern so that every write shows.
class Ram {
 public:
  static constexpr std::byte kPattern{0xa5};

  explicit Ram(std::uint64_t bytes, std::uint64_t base = 0)
      : bytes_(static_cast<std::size_t>(bytes), kPattern), region_{GuestAddress(base), bytes_} {}
  Ram(const Ram&) = delete;
  Ram& operator=(const Ram&) = delete;

  [[nodiscard]] vm_memory::MemoryView view() const { return vm_memory::MemoryView(region_); }
  [[nodiscard]] std::byte at(std::uint64_t address) const {
    return bytes_[static_cast<std::size_t>(address - region_.base.raw())];
  }
  [[nodiscard]] bool untouched(std::uint64_t from, std::uint64_t to) const {
    const auto at = [&](std::uint64_t address) {
      return bytes_.begin() + static_cast<std::ptrdiff_t>(address - region_.base.raw());
    };
    return std::all_of(at(from), at(to), [](std::byte b) { return b == kPattern; });
  }
  [[nodiscard]] bool untouched() const {
    return untouched(region_.base.raw(), region_.base.raw() + bytes_.size());
  }

 private:
  Bytes bytes_;
  vm_memory::RegionSpan region_;
};

struct BzImage {
  std::uint16_t version = 0x20f;
  std::uint8_t setup_sects = 1;
  std::uint8_t loadflags = 1;
  std::uint16_t xloadflags = 1;
  std::uint32_t code32_start = 0x100000;
  std::uint32_t initrd_addr_max = 0x7fffffff;
  std::uint32_t alignment = 0x200000;
  std::uint8_t relocatable = 1;
  std::uint32_t cmdline_size = 2047;
  std::uint64_t pref_address = 0x200000;
  std::uint32_t init_size = 0;
  std::uint32_t syssize = 0;
  std::size_t payload_bytes = 0x1000;
};

inline Bytes build(const BzImage& o) {
  Bytes image;
  put<std::uint8_t>(image, 0x1f1, o.setup_sects);
  put<std::uint32_t>(image, 0x1f4, o.syssize);
  put<std::uint16_t>(image, 0x1fe, 0xaa55);
  put<std::uint16_t>(image, 0x200, 0x6aeb);  // a jump to 0x26c
  put(image, 0x202, "HdrS");
  put<std::uint16_t>(image, 0x206, o.version);
  put<std::uint8_t>(image, 0x211, o.loadflags);
  put<std::uint32_t>(image, 0x214, o.code32_start);
  put<std::uint32_t>(image, 0x22c, o.initrd_addr_max);
  put<std::uint32_t>(image, 0x230, o.alignment);
  put<std::uint8_t>(image, 0x234, o.relocatable);
  put<std::uint16_t>(image, 0x236, o.xloadflags);
  put<std::uint32_t>(image, 0x238, o.cmdline_size);
  put<std::uint64_t>(image, 0x258, o.pref_address);
  put<std::uint32_t>(image, 0x260, o.init_size);
  const std::size_t sectors = o.setup_sects == 0 ? 4 : o.setup_sects;
  image.resize((sectors + 1) * 512);
  image.resize(image.size() + o.payload_bytes, std::byte{0x5a});
  return image;
}

struct ElfSegment {
  std::uint32_t type = 1;
  std::uint64_t paddr = 0x100000;
  std::uint64_t memsz = 0x1000;
  Bytes content = Bytes(0x100, std::byte{0x5a});
  std::optional<std::uint64_t> vaddr{};   // default: paddr
  std::optional<std::uint64_t> filesz{};  // default: the size of the content
  std::optional<std::uint64_t> offset{};  // default: where the content is
};

struct Elf {
  std::uint16_t machine = 62;
  std::uint8_t elf_class = 2;
  std::uint8_t data = 1;
  std::uint16_t type = 2;
  std::uint64_t entry = 0x100000;
  std::uint64_t phoff = 64;
  std::uint16_t phentsize = 56;
  std::optional<std::uint16_t> phnum{};
  std::vector<ElfSegment> segments = std::vector<ElfSegment>(1);
};

inline Bytes build(const Elf& o) {
  Bytes image;
  put(image, 0,
      "\x7f"
      "ELF");
  put<std::uint8_t>(image, 4, o.elf_class);
  put<std::uint8_t>(image, 5, o.data);
  put<std::uint16_t>(image, 16, o.type);
  put<std::uint16_t>(image, 18, o.machine);
  put<std::uint64_t>(image, 24, o.entry);
  put<std::uint64_t>(image, 32, o.phoff);
  put<std::uint16_t>(image, 54, o.phentsize);
  put<std::uint16_t>(image, 56, o.phnum.value_or(static_cast<std::uint16_t>(o.segments.size())));
  std::size_t content = 64 + 56 * o.segments.size();
  for (std::size_t i = 0; i < o.segments.size(); ++i) {
    const ElfSegment& s = o.segments[i];
    const std::size_t at = 64 + 56 * i;
    put<std::uint32_t>(image, at, s.type);
    put<std::uint64_t>(image, at + 8, s.offset.value_or(content));
    put<std::uint64_t>(image, at + 16, s.vaddr.value_or(s.paddr));
    put<std::uint64_t>(image, at + 24, s.paddr);
    put<std::uint64_t>(image, at + 32, s.filesz.value_or(s.content.size()));
    put<std::uint64_t>(image, at + 40, s.memsz);
    content += s.content.size();
  }
  image.resize(64 + 56 * o.segments.size());
  for (const ElfSegment& s : o.segments) {
    image.insert(image.end(), s.content.begin(), s.content.end());
  }
  return image;
}

/// One ELF note; name and desc are padded to 4 bytes each.
inline Bytes note(std::uint32_t type, std::string_view name, const Bytes& desc) {
  Bytes bytes;
  put(bytes, 0, static_cast<std::uint32_t>(name.size()));
  put(bytes, 4, static_cast<std::uint32_t>(desc.size()));
  put(bytes, 8, type);
  put(bytes, 12, name);
  bytes.resize((bytes.size() + 3) & ~std::size_t{3});
  bytes.insert(bytes.end(), desc.begin(), desc.end());
  bytes.resize((bytes.size() + 3) & ~std::size_t{3});
  return bytes;
}

inline Bytes pvh_note(std::uint32_t entry) {
  Bytes desc;
  put(desc, 0, entry);
  return note(18, std::string_view("Xen\0", 4), desc);
}

struct Image {
  bool arm = true;
  std::uint64_t text_offset = 0;
  std::uint64_t image_size = 0x3000;
  std::size_t bytes = 0x1000;
};

inline Bytes build(const Image& o) {
  Bytes image;
  put<std::uint64_t>(image, 8, o.text_offset);
  put<std::uint64_t>(image, 16, o.image_size);
  if (!o.arm) put(image, 48, "RISCV");
  put(image, 56, o.arm ? std::string_view("ARM\x64") : std::string_view("RSC\x05"));
  image.resize(64);
  image.resize(std::max(image.size(), o.bytes), std::byte{0x5a});
  return image;
}

/// load_kernel() from bytes.
inline Result<LoadedKernel> load(const Ram& ram, const Bytes& image, const LoadOptions& options) {
  return load_kernel(ram.view(), ImageSource::from_bytes(image), options);
}

}  // namespace vmm::linux_loader::testing
