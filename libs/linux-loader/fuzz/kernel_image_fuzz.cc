// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// Input: one byte of options, then a kernel image. It is loaded into 32 MiB of RAM between two
// guard areas. Invariants: what is reported lies in RAM, a refused image writes nothing outside
// RAM, and a setup header is no longer than its room.

#include <sys/mman.h>

#include <cstdint>

#include "fuzz_input.h"
#include "vmm/linux_loader/kernel.h"

namespace {

using namespace vmm;
using namespace vmm::linux_loader;

constexpr std::uint64_t kMiB = 1 << 20;
constexpr std::size_t kGuard = 64 << 10;
constexpr std::size_t kRam = 32 * kMiB;
constexpr std::uint64_t kBase = kMiB;

/// RAM with inaccessible pages on both sides; what was written is dropped after each input.
std::span<std::byte> guarded_ram() {
  static std::byte* const area = [] {
    void* const all = ::mmap(nullptr, kRam + 2 * kGuard, PROT_NONE,
                             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    require(all != MAP_FAILED);
    std::byte* const ram = static_cast<std::byte*>(all) + kGuard;
    require(::mprotect(ram, kRam, PROT_READ | PROT_WRITE) == 0);
    return ram;
  }();
  ::madvise(area, kRam, MADV_DONTNEED);
  return {area, kRam};
}

void check(const LoadedKernel& kernel) {
  require(kernel.load.raw() >= kBase && kernel.load < kernel.end);
  require(kernel.end.raw() <= kBase + kRam);
  require(kernel.entry.raw() >= kBase && kernel.entry.raw() < kBase + kRam);
  if (kernel.pvh_entry) {
    require(kernel.pvh_entry->raw() >= kBase && kernel.pvh_entry->raw() < kBase + kRam);
  }
  require(kernel.setup_header.size <= SetupHeader::kMaxSize);
  require((kernel.format == KernelFormat::kBzImage) == (kernel.setup_header.size != 0));
  require(kernel.cmdline_capacity != 0);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size < 1) return 0;
  const vm_memory::RegionSpan region{GuestAddress(kBase), guarded_ram()};
  LoadOptions options{.arch = static_cast<Arch>(data[0] % 3)};
  if ((data[0] & 0x10) != 0) options.base = GuestAddress(2 * kMiB);
  if ((data[0] & 0x20) != 0) options.high_memory = GuestAddress(kMiB);
  options.memory_is_zero = (data[0] & 0x40) != 0;
  if ((data[0] & 0x80) != 0) options.max_decompressed = kMiB;
  const auto image = std::as_bytes(std::span(data + 1, size - 1));
  const auto kernel =
      load_kernel(vm_memory::MemoryView(region), ImageSource::from_bytes(image), options);
  if (kernel) {
    check(*kernel);
  } else {
    require(!to_string(kernel.error()).empty());
  }
  return 0;
}
