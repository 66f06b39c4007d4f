// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// load_bzimage and the x_load rows need a real kernel: VMM_BENCH_KERNEL names a bzImage and
// VMM_BENCH_VMLINUX an ELF vmlinux; without them these rows are left out.

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string>
#include <vector>

#include "bench.h"
#include "vmm/base/endian.h"
#include "vmm/base/unique_fd.h"
#include "vmm/linux_loader/cmdline.h"
#include "vmm/linux_loader/kernel.h"
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

std::optional<std::string> kernel_path(const char* variable, const char* rows) {
  const char* const path = std::getenv(variable);
  if (path != nullptr && *path != '\0') return path;
  std::fprintf(stderr, "%s is not set: %s left out\n", variable, rows);
  return std::nullopt;
}

struct KernelFile {
  explicit KernelFile(const std::string& path) : fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    file = check(ImageSource::from_fd(fd.get()), path.c_str());
    bytes.resize(static_cast<std::size_t>(file->size()));
    check(file->peek(0, bytes), path.c_str());
  }
  UniqueFd fd;
  std::optional<ImageSource> file;
  std::vector<std::byte> bytes;
};

void load_into(vm_memory::MemoryView memory, const ImageSource& source,
               const LoadOptions& options) {
  const Result<LoadedKernel> kernel = load_kernel(memory, source, options);
  if (!kernel) std::exit(1);
  keep(kernel->end);
}

VMM_BENCH(bench) {
  const auto path = kernel_path("VMM_BENCH_KERNEL", "load_bzimage, x_load_bzimage_*");
  if (!path) return;
  const KernelFile kernel(*path);
  const GuestMemory guest = make_memory(128 * kMiB);
  const vm_memory::MemoryView memory = guest.view();
  const LoadOptions options{.high_memory = GuestAddress(kMiB)};
  const ImageSource cursor = ImageSource::from_bytes(kernel.bytes);
  load_into(memory, cursor, options);  // touches the pages
  bench.run("linux-loader/load_bzimage", [&] { load_into(memory, cursor, options); });
  bench.run("linux-loader/x_load_bzimage_cursor", [&] { load_into(memory, cursor, options); });
  bench.run("linux-loader/x_load_bzimage_file", [&] { load_into(memory, *kernel.file, options); });
}

VMM_BENCH(bench) {
  const auto path = kernel_path("VMM_BENCH_VMLINUX", "x_load_vmlinux_*");
  if (!path) return;
  const KernelFile kernel(*path);
  const GuestMemory guest = make_memory(128 * kMiB);
  const vm_memory::MemoryView memory = guest.view();
  const LoadOptions options{.high_memory = GuestAddress(kMiB)};
  const ImageSource cursor = ImageSource::from_bytes(kernel.bytes);
  load_into(memory, cursor, options);
  bench.run("linux-loader/x_load_vmlinux_cursor", [&] { load_into(memory, cursor, options); });
  bench.run("linux-loader/x_load_vmlinux_file", [&] { load_into(memory, *kernel.file, options); });
  // As a VMM does it: memory is fresh, so it is known to be zero, and large pages are asked for.
  const LoadOptions fresh{.high_memory = GuestAddress(kMiB), .memory_is_zero = true};
  const RegionConfig config{.base = GuestAddress(0),
                            .bytes = 128 * kMiB,
                            .transparent_huge_pages = vm_memory::ThpAdvice::kAlways};
  bench.run("linux-loader/x_load_vmlinux_file_fresh_memory", [&] {
    const GuestMemory new_memory = check(GuestMemory::create({&config, 1}), "guest memory");
    load_into(new_memory.view(), *kernel.file, fresh);
  });
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
