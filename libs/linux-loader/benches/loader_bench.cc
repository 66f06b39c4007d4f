// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The large images are made here, with the sizes and the layout of the kernels that the peers were
// measured with: a loader does not look at what it copies.

#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "bench.h"
#include "vmm/base/endian.h"
#include "vmm/linux_loader/cmdline.h"
#include "vmm/linux_loader/kernel.h"
#include "vmm/sys_util/file_io.h"
#include "vmm/sys_util/temp_file.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::linux_loader {
namespace {

using bench::keep;
using vm_memory::GuestMemory;
using vm_memory::RegionConfig;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;

template <class T>
T check(Result<T> result, const char* what) {
  if (!result) {
    std::fprintf(stderr, "%s: %s\n", what, to_string(result.error()).c_str());
    std::exit(1);
  }
  return *std::move(result);
}

GuestMemory make_memory(std::uint64_t bytes) {
  const RegionConfig config{.base = GuestAddress(0), .bytes = bytes};
  return check(GuestMemory::create({&config, 1}), "guest memory");
}

/// An ELF of 636 bytes with one segment to load and a PVH note.
std::vector<std::byte> small_elf() {
  constexpr std::size_t kText = 0x100;
  constexpr std::size_t kNotes = 0x200;
  std::vector<std::byte> elf(636);
  const auto put16 = [&](std::size_t at, std::uint16_t value) { store_le(elf.data() + at, value); };
  const auto put32 = [&](std::size_t at, std::uint32_t value) { store_le(elf.data() + at, value); };
  const auto put64 = [&](std::size_t at, std::uint64_t value) { store_le(elf.data() + at, value); };
  std::memcpy(elf.data(), "\x7f\x45LF\x02\x01\x01", 7);
  put16(16, 2);
  put16(18, 62);
  put64(24, 0x100000);
  put64(32, 64);
  put16(54, 56);
  put16(56, 2);
  const auto segment = [&](std::size_t at, std::uint32_t type, std::uint64_t offset,
                           std::uint64_t paddr, std::uint64_t bytes) {
    put32(at, type);
    put64(at + 8, offset);
    put64(at + 16, paddr);
    put64(at + 24, paddr);
    put64(at + 32, bytes);
    put64(at + 40, bytes);
  };
  segment(64, 1, kText, 0x100000, 0x100);
  segment(120, 4, kNotes, 0, 20);
  put32(kNotes, 4);
  put32(kNotes + 4, 4);
  put32(kNotes + 8, 18);
  std::memcpy(elf.data() + kNotes + 12, "Xen", 4);
  put32(kNotes + 16, 0x100010);
  return elf;
}

VMM_BENCH(bench) {
  const GuestMemory memory = make_memory(16 * kMiB);
  const auto map = memory.snapshot();
  const std::vector<std::byte> elf = small_elf();
  const ImageSource source = ImageSource::from_bytes(elf);
  const LoadOptions options{.high_memory = GuestAddress(kMiB)};
  if (!check(load_kernel(map->view(), source, options), "load_elf_pvh").pvh_entry) std::exit(1);
  const vm_memory::MemoryView view = map->view();
  bench.run("linux-loader/load_elf_pvh",
            [&] { keep(load_kernel(view, source, options).has_value()); });
}

/// A bzImage with the payload of a Debian cloud kernel 6.1. What is in it does not matter.
std::vector<std::byte> large_bz_image() {
  constexpr std::size_t kPayload = 14'127'616;
  constexpr std::size_t kSetupSectors = 39;
  std::vector<std::byte> image((kSetupSectors + 1) * 512 + kPayload, std::byte{0x5a});
  const auto put = [&](std::size_t at, auto value) { store_le(image.data() + at, value); };
  put(0x1f1, std::uint8_t{kSetupSectors});
  put(0x1f4, static_cast<std::uint32_t>(kPayload / 16));
  put(0x201, std::uint8_t{0x6a});
  std::memcpy(image.data() + 0x202, "HdrS", 4);
  put(0x206, std::uint16_t{0x20f});
  put(0x211, std::uint8_t{1});
  put(0x214, std::uint32_t{0x100000});
  put(0x230, std::uint32_t{0x200000});
  put(0x234, std::uint8_t{1});
  put(0x236, std::uint16_t{1});
  put(0x238, std::uint32_t{2047});
  put(0x258, std::uint64_t{0x1000000});
  put(0x260, std::uint32_t{48 << 20});
  return image;
}

struct Part {
  std::uint64_t offset;  // in the file
  std::uint64_t address;
  std::uint64_t bytes;
};

/// The segments of a vmlinux: text, data, per-CPU data, and what only the start needs.
constexpr std::array kVmlinux{
    Part{0x200000, 0x1000000, 25'300'000}, Part{0x1c00000, 0x2a00000, 6'400'000},
    Part{0x2400000, 0x3200000, 200'000}, Part{0x2600000, 0x3233000, 14'400'000}};

std::vector<std::byte> large_elf() {
  std::vector<std::byte> elf(kVmlinux.back().offset + kVmlinux.back().bytes, std::byte{0x5a});
  std::memset(elf.data(), 0, 0x1000);
  std::memcpy(elf.data(), "\x7f\x45LF\x02\x01\x01", 7);
  const auto put = [&](std::size_t at, auto value) { store_le(elf.data() + at, value); };
  put(16, std::uint16_t{2});
  put(18, std::uint16_t{62});
  put(24, kVmlinux[0].address);
  put(32, std::uint64_t{64});
  put(54, std::uint16_t{56});
  put(56, static_cast<std::uint16_t>(kVmlinux.size()));
  std::size_t at = 64;
  for (const Part& part : kVmlinux) {
    put(at, std::uint32_t{1});
    put(at + 8, part.offset);
    put(at + 16, part.address);
    put(at + 24, part.address);
    put(at + 32, part.bytes);
    put(at + 40, part.bytes);
    at += 56;
  }
  return elf;
}

/// A file in the page cache. Written back now, so that it does not happen while we measure.
sys_util::TempFile file_of(std::span<const std::byte> bytes) {
  sys_util::TempFile file = check(sys_util::TempFile::create(), "temporary file");
  if (!sys_util::write_all(file.fd(), bytes) || ::fsync(file.fd()) != 0) {
    std::perror(file.path().c_str());
    std::exit(1);
  }
  return file;
}

/// An image in memory and in a file.
struct Image {
  explicit Image(std::vector<std::byte> content)
      : bytes(std::move(content)),
        file(file_of(bytes)),
        in_memory(ImageSource::from_bytes(bytes)),
        in_file(check(ImageSource::from_fd(file.fd()), "temporary file")) {}
  std::vector<std::byte> bytes;
  sys_util::TempFile file;
  ImageSource in_memory;
  ImageSource in_file;
};

void load_into(vm_memory::MemoryView memory, const ImageSource& source,
               const LoadOptions& options) {
  const Result<LoadedKernel> kernel = load_kernel(memory, source, options);
  if (!kernel) std::exit(1);
  keep(kernel->end);
}

// The floors: the same bytes to the same places, by one memcpy() or pread() a segment.
void copy_parts(std::byte* ram, const Image& image, std::span<const Part> parts) {
  for (const Part& part : parts) {
    std::memcpy(ram + part.address, image.bytes.data() + part.offset, part.bytes);
  }
}
void read_parts(std::byte* ram, const Image& image, std::span<const Part> parts) {
  for (const Part& part : parts) {
    const ssize_t n =
        ::pread(image.file.fd(), ram + part.address, part.bytes, static_cast<off_t>(part.offset));
    if (n != static_cast<ssize_t>(part.bytes)) std::exit(1);
  }
}

/// Rows `cursor` and `file`: into memory whose pages are there.
void bench_warm(bench::Bench& bench, const Image& image, std::span<const Part> parts,
                const std::string& cursor, const std::string& file) {
  const GuestMemory guest = make_memory(128 * kMiB);
  const vm_memory::MemoryView memory = guest.view();
  std::byte* const ram = memory.regions()[0].host.data();
  const LoadOptions options{.high_memory = GuestAddress(kMiB)};
  load_into(memory, image.in_memory, options);  // touches the pages
  bench.run(cursor, [&] { load_into(memory, image.in_memory, options); });
  bench.floor(cursor, [&] { copy_parts(ram, image, parts); });
  bench.run(file, [&] { load_into(memory, image.in_file, options); });
  bench.floor(file, [&] { read_parts(ram, image, parts); });
}

VMM_BENCH(bench) {
  const Image kernel(large_bz_image());
  const Part payload{40 * 512, kMiB, kernel.bytes.size() - std::size_t{40} * 512};
  const GuestMemory guest = make_memory(128 * kMiB);
  const LoadOptions options{.high_memory = GuestAddress(kMiB)};
  bench.run("linux-loader/load_bzimage",
            [&] { load_into(guest.view(), kernel.in_memory, options); });
  bench_warm(bench, kernel, {&payload, 1}, "linux-loader/x_load_bzimage_cursor",
             "linux-loader/x_load_bzimage_file");
}

/// Row `name`: into new memory, as a VMM starts, so that it is known to be zero; the making and the
/// end of the memory included.
void bench_fresh(bench::Bench& bench, const Image& image, const std::string& name,
                 vm_memory::ThpAdvice advice) {
  const LoadOptions options{.high_memory = GuestAddress(kMiB), .memory_is_zero = true};
  const RegionConfig config{
      .base = GuestAddress(0), .bytes = 128 * kMiB, .transparent_huge_pages = advice};
  bench.run(name, [&] {
    const GuestMemory memory = check(GuestMemory::create({&config, 1}), "guest memory");
    load_into(memory.view(), image.in_file, options);
  });
  bench.floor(name, [&] {
    void* const ram = ::mmap(nullptr, config.bytes, PROT_READ | PROT_WRITE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (ram == MAP_FAILED) std::exit(1);
    ::madvise(ram, config.bytes,
              advice == vm_memory::ThpAdvice::kAlways ? MADV_HUGEPAGE : MADV_NOHUGEPAGE);
    read_parts(static_cast<std::byte*>(ram), image, kVmlinux);
    ::munmap(ram, config.bytes);
  });
}

VMM_BENCH(bench) {
  const Image kernel(large_elf());
  bench_warm(bench, kernel, kVmlinux, "linux-loader/x_load_vmlinux_cursor",
             "linux-loader/x_load_vmlinux_file");
  // With large pages, as the VMM asks for by default, and without.
  bench_fresh(bench, kernel, "linux-loader/x_load_vmlinux_file_fresh_memory",
              vm_memory::ThpAdvice::kAlways);
  bench_fresh(bench, kernel, "linux-loader/load_vmlinux_file_fresh_memory_4K_pages",
              vm_memory::ThpAdvice::kNever);
}

VMM_BENCH(bench) {
  bench.run("linux-loader/x_cmdline_build", [] {
    auto cmdline = *Cmdline::create(2048);
    bool ok = cmdline.insert("console", "ttyS0").has_value();
    ok &= cmdline.insert("reboot", "k").has_value();
    ok &= cmdline.insert("panic", "1").has_value();
    ok &= cmdline.insert("pci", "off").has_value();
    ok &= cmdline.insert("root", "/dev/vda1").has_value();
    ok &= cmdline.append("ro").has_value();
    for (std::uint32_t i = 0; i < 4; ++i) {
      ok &= cmdline
                .add_virtio_mmio({.size = 4096,
                                  .base = GuestAddress(0xd0000000 + std::uint64_t{i} * 4096),
                                  .irq = 5 + i})
                .has_value();
    }
    keep(ok);
    keep(cmdline.boot_args().data());
  });
}

}  // namespace
}  // namespace vmm::linux_loader
