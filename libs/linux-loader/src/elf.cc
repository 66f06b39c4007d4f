// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// ELF-64 (System V ABI, "Object Files") and the note of Xen's x86 PVH boot ABI, which gives a
// 32-bit entry point.

#include <algorithm>
#include <array>
#include <cstring>

#include "formats.h"
#include "vmm/base/endian.h"

namespace vmm::linux_loader {
namespace {

constexpr std::size_t kEhdrBytes = 64;
constexpr std::size_t kPhdrBytes = 56;
constexpr std::size_t kMaxPhdrs = 128;  // kernels have fewer than ten
constexpr std::size_t kMaxNotes = 256;
constexpr std::uint32_t kPtLoad = 1;
constexpr std::uint32_t kPtNote = 4;
constexpr std::uint32_t kPvhNoteType = 18;
constexpr std::size_t kNoteHeaderBytes = 12;
constexpr std::size_t kPvhNoteBytes = kNoteHeaderBytes + 4 + 4;  // a name of 4 bytes, an address
constexpr std::size_t kNoteWindow = 1024;  // those of a kernel fit: read at once

struct ProgramHeader {
  std::uint32_t type;
  std::uint64_t offset;
  std::uint64_t vaddr;
  std::uint64_t paddr;
  std::uint64_t filesz;
  std::uint64_t memsz;
};

// Of plain integers, so that an array of them costs nothing until it is filled.
struct Segment {
  std::uint64_t offset;
  std::uint64_t filesz;
  std::uint64_t memsz;
  std::uint64_t vaddr;
  std::uint64_t paddr;
  std::uint64_t start;  // guest address: paddr plus the base
  std::uint64_t end;
};

struct NoteRange {
  std::uint64_t offset;
  std::uint64_t filesz;
};

struct Elf {
  std::uint64_t entry;
  std::uint64_t base;
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

Result<void> add_segment(const Input& in, Elf& elf, const ProgramHeader& header) {
  if (header.filesz > header.memsz) return fail(LoadError::kElfSegment);
  if (header.memsz == 0) return {};
  if (!fits(header.offset, header.filesz, in.source.size())) return fail(LoadError::kTruncated);
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
  elf.segment[elf.segments++] = {.offset = header.offset,
                                 .filesz = header.filesz,
                                 .memsz = header.memsz,
                                 .vaddr = header.vaddr,
                                 .paddr = header.paddr,
                                 .start = *start,
                                 .end = *end};
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

/// Where an address of the file's is in guest memory, when one of the segments holds it; `field`
/// is the address that the file gives those.
std::optional<GuestAddress> find(const Elf& elf, std::uint64_t Segment::* field,
                                 std::uint64_t address) {
  for (std::size_t i = 0; i < elf.segments; ++i) {
    const Segment& segment = elf.segment[i];
    const std::uint64_t offset = address - segment.*field;
    if (offset < segment.memsz) return GuestAddress(segment.start + offset);
  }
  return std::nullopt;
}

/// Where the entry point is in guest memory. e_entry is a physical address in x86 and unikernel
/// images, and a virtual one in arm64 and riscv64 vmlinux files.
Result<GuestAddress> entry_address(const Input& in, const Elf& elf) {
  std::optional<GuestAddress> entry = find(elf, &Segment::paddr, elf.entry);
  if (!entry) entry = find(elf, &Segment::vaddr, elf.entry);
  const bool outside = !entry;
  if (outside) entry = GuestAddress(elf.entry).checked_add(elf.base);
  if (!entry) return fail(LoadError::kOverflow);
  if (*entry < in.options.high_memory) return fail(LoadError::kBadEntry);
  // Segments are in RAM.
  if (outside && !in.memory.contains(*entry)) return fail(LoadError::kBadEntry);
  return *entry;
}

/// `value` up to the next multiple of 4, without overflow.
constexpr std::uint64_t padded(std::uint32_t value) { return (std::uint64_t{value} + 3) & ~3ull; }

/// A note segment, of which a window is at hand.
class Notes {
 public:
  Notes(const Input& in, const NoteRange& range) : in_(in), range_(range) {}  // NOLINT: no storage

  [[nodiscard]] std::uint64_t left() const { return range_.filesz - at_; }
  void skip(std::uint64_t bytes) { at_ += bytes; }
  /// Up to `bytes` bytes from here, fewer at the end.
  Result<std::span<const std::byte>> peek(std::size_t bytes) {
    bytes = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, left()));
    if (!fits<std::uint64_t>(at_ - window_at_, bytes, window_.size())) {
      const auto more = static_cast<std::size_t>(std::min<std::uint64_t>(scratch_.size(), left()));
      VMM_TRY(window_, in_.peek(range_.offset + at_, std::span(scratch_).first(more)));
      window_at_ = at_;
    }
    return window_.subspan(static_cast<std::size_t>(at_ - window_at_), bytes);
  }

 private:
  const Input& in_;
  NoteRange range_;
  std::uint64_t at_ = 0;  // within the segment, as is the next
  std::uint64_t window_at_ = 0;
  std::span<const std::byte> window_;
  std::array<std::byte, kNoteWindow> scratch_;
};

/// Looks for the PVH note in one note segment.
Result<std::optional<GuestAddress>> pvh_in(const Input& in, const NoteRange& range,
                                           std::size_t* budget) {
  if (!fits(range.offset, range.filesz, in.source.size())) return fail(LoadError::kTruncated);
  Notes notes(in, range);
  while (notes.left() >= kNoteHeaderBytes) {
    if ((*budget)-- == 0) return fail(LoadError::kBadPvhNote);
    VMM_TRY(const auto note, notes.peek(kPvhNoteBytes));
    const auto name_bytes = load_le<std::uint32_t>(note.data());
    const auto desc_bytes = load_le<std::uint32_t>(note.data() + 4);
    const auto type = load_le<std::uint32_t>(note.data() + 8);
    if (type == kPvhNoteType && name_bytes == 4 && note.size() >= kNoteHeaderBytes + 4 &&
        std::memcmp(note.data() + kNoteHeaderBytes, "Xen", 4) == 0) {
      if (desc_bytes < 4 || note.size() < kPvhNoteBytes) return fail(LoadError::kBadPvhNote);
      return GuestAddress(load_le<std::uint32_t>(note.data() + kNoteHeaderBytes + 4));
    }
    const std::uint64_t size = kNoteHeaderBytes + padded(name_bytes) + padded(desc_bytes);
    if (size > notes.left()) break;
    notes.skip(size);
  }
  return std::optional<GuestAddress>();
}

Result<std::optional<GuestAddress>> pvh_entry(const Input& in, const Elf& elf) {
  // The entry is an absolute address: a moved kernel has none.
  if (in.options.arch != Arch::kX86_64 || in.options.base) return std::optional<GuestAddress>();
  std::size_t budget = kMaxNotes;
  for (std::size_t i = 0; i < elf.notes; ++i) {
    VMM_TRY(const auto entry, pvh_in(in, elf.note[i], &budget));
    if (!entry) continue;
    if (!in.memory.contains(*entry)) return fail(LoadError::kBadEntry);
    return entry;
  }
  return std::optional<GuestAddress>();
}

Result<void> load_segment(const Input& in, const Segment& segment) {
  VMM_TRY_DO(
      in.source.load(segment.offset, segment.filesz, in.memory, GuestAddress(segment.start)));
  if (in.options.memory_is_zero || segment.memsz == segment.filesz) return {};
  // No overflow: start + memsz was checked.
  const GuestAddress bss(segment.start + segment.filesz);
  return fill_zero(in.memory, bss, segment.memsz - segment.filesz);
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
