// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// ELF-64 (System V ABI, "Object Files") and the note of Xen's x86 PVH boot ABI, which gives a
// 32-bit entry point.

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>

#include "formats.h"
#include "vmm/base/endian.h"

namespace vmm::linux_loader {
namespace {

constexpr std::size_t kEhdrBytes = 64;
constexpr std::size_t kPhdrBytes = 56;
constexpr std::size_t kMaxPhdrs = 128;  // kernels have fewer than ten
constexpr std::uint32_t kPtLoad = 1;
constexpr std::uint32_t kPtNote = 4;
constexpr std::uint32_t kPvhNoteType = 18;
constexpr std::size_t kNoteHeaderBytes = 12;
constexpr std::uint64_t kMaxNoteBytes = 16 << 10;  // of a segment; those of a kernel are 1 KiB

struct ProgramHeader {
  std::uint32_t type;
  std::uint64_t offset;
  std::uint64_t vaddr;
  std::uint64_t paddr;
  std::uint64_t filesz;
  std::uint64_t memsz;
};

constexpr std::uint64_t kNowhere = ~std::uint64_t{0};  // no segment reaches up to it

// Of plain integers, so that an array of them costs nothing until it is filled.
struct Segment {
  std::uint64_t offset;
  std::uint64_t filesz;
  std::uint64_t start;  // guest address: that in the file plus the base
  std::uint64_t end;
};

struct NoteRange {
  std::uint64_t offset;
  std::uint64_t filesz;
};

struct Elf {
  std::uint64_t entry;  // as in the file
  std::uint64_t base;
  // Where that is in guest memory, if a segment has it at its physical or virtual address.
  std::uint64_t physical_entry = kNowhere;
  std::uint64_t virtual_entry = kNowhere;
  std::size_t segments = 0;
  std::size_t notes = 0;
  std::array<Segment, kMaxPhdrs> segment;  // the first `segments`
  std::array<NoteRange, kMaxPhdrs> note;   // the first `notes`
};

ProgramHeader parse_phdr(const std::byte* at) {
  return {.type = load_le<std::uint32_t>(at),
          .offset = load_le<std::uint64_t>(at + 8),
          .vaddr = load_le<std::uint64_t>(at + 16),
          .paddr = load_le<std::uint64_t>(at + 24),
          .filesz = load_le<std::uint64_t>(at + 32),
          .memsz = load_le<std::uint64_t>(at + 40)};
}

Result<void> check_machine(std::uint16_t machine, Arch guest) {
  Arch kernel{};
  switch (machine) {
    case 62:
      kernel = Arch::kX86_64;
      break;
    case 183:
      kernel = Arch::kAarch64;
      break;
    case 243:
      kernel = Arch::kRiscv64;
      break;
    default:
      return fail(LoadError::kWrongArchitecture);
  }
  if (kernel != guest) return fail(make_wrong_architecture(kernel, guest));
  return {};
}

/// Checks the file header; answers the number of program headers.
Result<std::size_t> check_header(std::span<const std::byte> head, Arch guest) {
  if (head.size() < kEhdrBytes) return fail(LoadError::kTruncated);
  const std::byte* at = head.data();
  if (at[4] != std::byte{2}) return fail(LoadError::kElfClass);
  if (at[5] != std::byte{1}) return fail(LoadError::kElfByteOrder);
  VMM_TRY_DO(check_machine(load_le<std::uint16_t>(at + 18), guest));
  const auto type = load_le<std::uint16_t>(at + 16);
  if (type != 2 && type != 3) return fail(LoadError::kElfType);
  const auto phoff = load_le<std::uint64_t>(at + 32);
  const auto phentsize = load_le<std::uint16_t>(at + 54);
  const auto phnum = load_le<std::uint16_t>(at + 56);
  if (phnum == 0) return fail(LoadError::kElfNothingToLoad);
  if (phentsize != kPhdrBytes || phoff < kEhdrBytes || phnum > kMaxPhdrs) {
    return fail(LoadError::kElfHeaderTable);
  }
  return phnum;
}

void find_entry(Elf& elf, const ProgramHeader& header, std::uint64_t start) {
  const std::uint64_t from_paddr = elf.entry - header.paddr;
  const std::uint64_t from_vaddr = elf.entry - header.vaddr;
  if (from_paddr < header.memsz) elf.physical_entry = start + from_paddr;
  if (from_vaddr < header.memsz && elf.virtual_entry == kNowhere) {
    elf.virtual_entry = start + from_vaddr;
  }
}

Result<void> add_segment(const Input& in, Elf& elf, const ProgramHeader& header) {
  if (header.filesz > header.memsz) return fail(LoadError::kElfSegment);
  if (header.memsz == 0) return {};
  // What is not in the file has no place there, whatever its header says.
  const std::uint64_t offset = header.filesz == 0 ? 0 : header.offset;
  if (!fits(offset, header.filesz, in.source.size())) return fail(LoadError::kTruncated);
  const auto start = checked_add(header.paddr, elf.base);
  const auto end = start ? checked_add(*start, header.memsz) : std::nullopt;
  if (!end || !checked_add(header.vaddr, header.memsz - 1)) return fail(LoadError::kOverflow);
  for (std::size_t i = 0; i < elf.segments; ++i) {
    const Segment& other = elf.segment[i];
    if (*start < other.end && other.start < *end) return fail(LoadError::kElfOverlap);
  }
  if (!in.memory.check_range(GuestAddress(*start), header.memsz)) {
    return fail(LoadError::kOutsideRam);
  }
  elf.segment[elf.segments++] = {offset, header.filesz, *start, *end};
  find_entry(elf, header, *start);
  return {};
}

Result<void> parse(const Input& in, Elf& elf) {
  VMM_TRY(const std::size_t count, check_header(in.head, in.options.arch));
  elf.entry = load_le<std::uint64_t>(in.head.data() + 24);
  elf.base = in.options.base.value_or(GuestAddress(0)).raw();
  std::array<std::byte, kMaxPhdrs * kPhdrBytes> scratch;
  const auto phoff = load_le<std::uint64_t>(in.head.data() + 32);
  VMM_TRY(const auto table, in.peek(phoff, std::span(scratch).first(count * kPhdrBytes)));
  for (std::size_t i = 0; i < count; ++i) {
    const ProgramHeader header = parse_phdr(table.data() + i * kPhdrBytes);
    if (header.type == kPtLoad) {
      VMM_TRY_DO(add_segment(in, elf, header));
    } else if (header.type == kPtNote) {
      elf.note[elf.notes++] = {header.offset, header.filesz};
    }
  }
  if (elf.segments == 0) return fail(LoadError::kElfNothingToLoad);
  return {};
}

/// Where the entry point is in guest memory. e_entry is a physical address in x86 and unikernel
/// images, and a virtual one in arm64 and riscv64 vmlinux files.
Result<GuestAddress> entry_address(const Input& in, const Elf& elf) {
  std::uint64_t entry = elf.physical_entry;
  if (entry == kNowhere) entry = elf.virtual_entry;
  const bool outside = entry == kNowhere;
  if (outside && __builtin_add_overflow(elf.entry, elf.base, &entry)) {
    return fail(LoadError::kOverflow);
  }
  if (GuestAddress(entry) < in.options.high_memory) return fail(LoadError::kBadEntry);
  // Segments are in RAM.
  if (outside && !in.memory.contains(GuestAddress(entry))) return fail(LoadError::kBadEntry);
  return GuestAddress(entry);
}

/// `value` up to the next multiple of 4, without overflow.
constexpr std::uint64_t padded(std::uint32_t value) { return (std::uint64_t{value} + 3) & ~3ull; }

/// Whether padded(value) is more than 32 bits hold.
constexpr bool pads_over(std::uint32_t value) {
  return padded(value) > std::numeric_limits<std::uint32_t>::max();
}

/// Looks for the PVH note in one note segment.
Result<std::optional<GuestAddress>> pvh_in(const Input& in, const NoteRange& range) {
  if (!fits(range.offset, range.filesz, in.source.size())) return fail(LoadError::kTruncated);
  std::array<std::byte, kMaxNoteBytes> scratch;
  const auto bytes = static_cast<std::size_t>(std::min(range.filesz, kMaxNoteBytes));
  VMM_TRY(const auto notes, in.peek(range.offset, std::span(scratch).first(bytes)));
  const std::byte* note = notes.data();
  std::uint64_t left = bytes;
  while (left >= kNoteHeaderBytes) {
    const auto name_bytes = load_le<std::uint32_t>(note);
    const auto desc_bytes = load_le<std::uint32_t>(note + 4);
    if (load_le<std::uint32_t>(note + 8) == kPvhNoteType && name_bytes == 4 &&
        left >= kNoteHeaderBytes + 4 && std::memcmp(note + kNoteHeaderBytes, "Xen", 4) == 0) {
      if (desc_bytes < 4 || desc_bytes > left - kNoteHeaderBytes - 4) {
        return fail(pads_over(desc_bytes) ? LoadError::kOverflow : LoadError::kBadPvhNote);
      }
      return GuestAddress(load_le<std::uint32_t>(note + kNoteHeaderBytes + 4));
    }
    const std::uint64_t size = kNoteHeaderBytes + padded(name_bytes) + padded(desc_bytes);
    if (size > left) [[unlikely]] {
      if (pads_over(name_bytes) || pads_over(desc_bytes)) return fail(LoadError::kOverflow);
      break;
    }
    left -= size;
    note += size;
  }
  return std::optional<GuestAddress>();
}

Result<std::optional<GuestAddress>> pvh_entry(const Input& in, const Elf& elf) {
  // The entry is an absolute address: a moved kernel has none.
  if (in.options.arch != Arch::kX86_64 || in.options.base) return std::optional<GuestAddress>();
  for (std::size_t i = 0; i < elf.notes; ++i) {
    VMM_TRY(const auto entry, pvh_in(in, elf.note[i]));
    if (!entry) continue;
    if (*entry < in.options.high_memory || !in.memory.contains(*entry)) {
      return fail(LoadError::kBadEntry);
    }
    return entry;
  }
  return std::optional<GuestAddress>();
}

Result<void> load_segment(const Input& in, const Segment& segment) {
  const GuestAddress start(segment.start);
  VMM_TRY_DO(in.source.load(segment.offset, segment.filesz, in.memory, start));
  const std::uint64_t bss = segment.start + segment.filesz;
  if (in.options.memory_is_zero || bss == segment.end) return {};
  return fill_zero(in.memory, GuestAddress(bss), segment.end - bss);
}

Result<LoadedKernel> loaded(const Input& in, const Elf& elf, GuestAddress entry,
                            std::optional<GuestAddress> pvh_entry) {
  std::uint64_t load = elf.segment[0].start;
  std::uint64_t end = elf.segment[0].end;
  for (std::size_t i = 1; i < elf.segments; ++i) {
    load = std::min(load, elf.segment[i].start);
    end = std::max(end, elf.segment[i].end);
  }
  Result<LoadedKernel> kernel(std::in_place, KernelFormat::kElf, GuestAddress(load),
                              GuestAddress(end), entry);
  kernel->pvh_entry = pvh_entry;
  kernel->cmdline_capacity = cmdline_capacity(in.options.arch);
  return kernel;
}

}  // namespace

Result<LoadedKernel> load_elf(const Input& in) {
  Elf elf;
  VMM_TRY_DO(parse(in, elf));
  VMM_TRY(const GuestAddress entry, entry_address(in, elf));
  VMM_TRY(const auto pvh, pvh_entry(in, elf));
  for (std::size_t i = 0; i < elf.segments; ++i) VMM_TRY_DO(load_segment(in, elf.segment[i]));
  return loaded(in, elf, entry, pvh);
}

}  // namespace vmm::linux_loader
