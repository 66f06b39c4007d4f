// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "boot.h"

#include <fcntl.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <array>

#include "vmm/arch/x86_64/boot_params.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/arch/x86_64/memory_map.h"
#include "vmm/arch/x86_64/pvh.h"
#include "vmm/linux_loader/blobs.h"
#include "vmm/linux_loader/cmdline.h"
#include "vmm/linux_loader/kernel.h"

namespace vmm::reference {
namespace {

using namespace arch::x86_64;
using linux_loader::ImageSource;
using linux_loader::LoadedKernel;
using vm_memory::MemoryView;

// An input file, open as long as it is read.
struct InputFile {
  UniqueFd fd;
  ImageSource source;
};

Outcome<InputFile> open_input(const std::string& context, const std::string& path) {
  // Not blocking: opening a FIFO must fail, not wait for a writer.
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (!fd) return fail(runtime(context, Error::from_errno("open")));
  VMM_STEP(context, const ImageSource source, ImageSource::from_fd(fd.get()));
  return InputFile{std::move(fd), source};
}

Outcome<LoadedKernel> load_kernel(MemoryView memory, const std::string& path) {
  const std::string context = "--kernel: " + path;
  VMM_TRY(const InputFile file, open_input(context, path));
  const linux_loader::LoadOptions options{.arch = linux_loader::Arch::kX86_64,
                                          .base = std::nullopt,
                                          .high_memory = kHighRam,
                                          .memory_is_zero = true};
  VMM_STEP(context, const LoadedKernel kernel,
           linux_loader::load_kernel(memory, file.source, options));
  if (kernel.format == linux_loader::KernelFormat::kElf && !kernel.pvh_entry) {
    return fail(runtime(context + ": an ELF file without a PVH entry"));
  }
  return kernel;
}

Outcome<AddressRange> load_initramfs(MemoryView memory, const std::string& path,
                                     const LoadedKernel& kernel) {
  if (path.empty()) return AddressRange{};
  const std::string context = "--initramfs: " + path;
  VMM_TRY(const InputFile file, open_input(context, path));
  const std::array taken{linux_loader::GuestRange{GuestAddress(0), kernel.end}};
  const GuestAddress limit = std::min(kernel.initrd_limit, kLowRamEnd);
  VMM_STEP(context, const GuestAddress at,
           linux_loader::place_initrd(memory, file.source.size(), limit, taken));
  VMM_STEP(context, const auto range, linux_loader::load_initrd(memory, file.source, at, taken));
  return AddressRange{range.start, range.end.raw() - range.start.raw()};
}

Outcome<void> load_cmdline(MemoryView memory, const std::string& text, std::size_t capacity) {
  const std::size_t limit = std::min<std::size_t>(capacity, kCmdlineMaxBytes);
  VMM_STEP("--cmdline", const auto cmdline, linux_loader::Cmdline::parse(text, limit));
  VMM_STEP_DO("--cmdline", linux_loader::load_cmdline(memory, kCmdline, cmdline));
  return {};
}

Outcome<BootRegisters> start_pvh(MemoryView memory, const LoadedKernel& kernel,
                                 const PvhConfig& config) {
  VMM_STEP_DO("boot structures", write_pvh(memory, config));
  VMM_STEP_DO("boot structures", write_descriptor_tables(memory, CodeSize::k32));
  return pvh_registers(*kernel.pvh_entry);
}

Outcome<BootRegisters> start_bzimage(MemoryView memory, const LoadedKernel& kernel,
                                     const BootParams& params) {
  VMM_STEP_DO("boot structures", write_boot_params(memory, params));
  const CodeSize size = kernel.entry_is_32bit ? CodeSize::k32 : CodeSize::k64;
  VMM_STEP_DO("boot structures", write_descriptor_tables(memory, size));
  if (kernel.entry_is_32bit) return linux32_registers(kernel.entry);
  VMM_STEP_DO("boot structures", write_page_tables(memory));
  return linux64_registers(kernel.entry);
}

// Memory is taken as the guest touches it, so a VM may have more than the host; but a size far
// beyond it is a mistake, which is better told now than by the host's out-of-memory killer.
Outcome<void> check_against_host(const MemoryConfig& config) {
  constexpr std::uint64_t kOvercommit = 4;
  struct sysinfo host{};
  if (::sysinfo(&host) != 0) return {};
  const std::uint64_t bytes = (std::uint64_t{host.totalram} + host.totalswap) * host.mem_unit;
  if (config.size / kOvercommit <= bytes) return {};
  return fail(runtime("--memory: size: " + std::to_string(config.size >> 20) +
                      " MiB are more than 4 times the " + std::to_string(bytes >> 20) +
                      " MiB of this host"));
}

Outcome<vm_memory::GuestMemory> make_guest_memory(const MemoryConfig& config) {
  VMM_STEP("--memory: size", const RamRegions ram, ram_regions(config.size));
  VMM_TRY_DO(check_against_host(config));
  // Advice: a host without transparent huge pages runs the VM without.
  const bool thp =
      config.thp && !config.hugepages && ::access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0;
  std::vector<vm_memory::RegionConfig> regions;
  for (const AddressRange& range : ram) {
    regions.push_back({
        .base = range.base,
        .bytes = range.size,
        .backing = config.shared ? vm_memory::Backing::kMemfd : vm_memory::Backing::kAnonymous,
        .huge_pages = !config.hugepages ? vm_memory::HugePages::kNone
                      : config.hugepage_size == std::uint64_t{1} << 30
                          ? vm_memory::HugePages::k1GiB
                          : vm_memory::HugePages::k2MiB,
        .transparent_huge_pages =
            thp ? vm_memory::ThpAdvice::kAlways : vm_memory::ThpAdvice::kDefault,
        .prefault = config.prefault ? vm_memory::Prefault::kPopulate : vm_memory::Prefault::kNone,
        .reserve = config.reserve,
        .mergeable = config.mergeable,
        .dump = false,
    });
  }
  VMM_STEP("--memory", auto memory, vm_memory::GuestMemory::create(regions));
  return memory;
}

}  // namespace

Outcome<ApicIds> make_apic_ids(const CpusConfig& config) {
  Topology topology = Topology::flat(config.boot);
  if (config.topology) {
    topology = {.threads_per_core = config.topology->threads,
                .cores_per_die = config.topology->cores,
                .dies_per_package = config.topology->dies,
                .packages = config.topology->packages};
  }
  VMM_STEP("--cpus: topology", const ApicIds ids, ApicIds::create(topology, config.boot));
  return ids;
}

Outcome<GuestImage> load_image(const VmConfig& config) {
  VMM_TRY(vm_memory::GuestMemory memory, make_guest_memory(config.memory));
  VMM_TRY(const LoadedKernel kernel, load_kernel(memory.view(), config.kernel));
  VMM_TRY(const AddressRange initrd, load_initramfs(memory.view(), config.initramfs, kernel));
  VMM_TRY_DO(load_cmdline(memory.view(), config.cmdline, kernel.cmdline_capacity));
  return GuestImage{.memory = std::move(memory), .kernel = kernel, .initrd = initrd};
}

Outcome<BootRegisters> write_boot_structures(const GuestImage& image, const AcpiConfig& acpi) {
  const MemoryView memory = image.memory.view();
  VMM_STEP("ACPI tables", const AcpiPlacement tables, write_acpi(memory, acpi));
  const auto ram_map = image.memory.snapshot();
  VMM_STEP("memory map", const RamRegions ram, ram_regions(ram_map->total_bytes()));
  const MemoryMap map = memory_map(ram);
  if (image.kernel.pvh_entry) {
    const std::array module{PvhModule{.range = image.initrd, .cmdline = GuestAddress(0)}};
    return start_pvh(memory, image.kernel,
                     {.cmdline = kCmdline,
                      .rsdp = tables.rsdp,
                      .map = map.entries(),
                      .modules = std::span(module).first(image.initrd.size == 0 ? 0 : 1)});
  }
  return start_bzimage(memory, image.kernel,
                       {.setup_header = image.kernel.setup_header.bytes(),
                        .cmdline = kCmdline,
                        .initrd = image.initrd,
                        .rsdp = tables.rsdp,
                        .map = map.entries()});
}

}  // namespace vmm::reference
