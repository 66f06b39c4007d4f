// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "boot.h"

#include <sys/sysinfo.h>

#include <algorithm>
#include <array>
#include <vector>

#include "vmm/base/log.h"
#include "vmm/linux_loader/image_source.h"

namespace vmm::reference {
namespace {

using linux_loader::Cmdline;
using linux_loader::LoadedKernel;
using vm_memory::MemoryView;

Outcome<LoadedKernel> load_kernel(MemoryView memory, const std::string& context,
                                  const std::string& path, const BootPlan& plan) {
  VMM_STEP(context, const auto file, linux_loader::open_image(path));
  VMM_STEP(context, const LoadedKernel kernel,
           linux_loader::load_kernel(memory, file.source,
                                     {.arch = plan.arch,
                                      .base = plan.kernel_base,
                                      .high_memory = plan.kernel_floor,
                                      .memory_is_zero = true}));
  return kernel;
}

// A flat image in memory of its own, entered at its first byte.
Outcome<LoadedKernel> load_flat(MemoryView memory, const std::string& context,
                                const std::string& path, const BootPlan& plan) {
  VMM_STEP(context, const auto file, linux_loader::open_image(path));
  VMM_STEP(context, const GuestRange range,
           linux_loader::load_firmware(memory, file.source, *plan.firmware));
  LoadedKernel flat{};
  flat.load = range.start;
  flat.end = range.end;
  flat.entry = range.start;
  flat.cmdline_capacity = plan.cmdline_bytes;
  return flat;
}

Outcome<LoadedKernel> load_payload(MemoryView memory, const VmConfig& config,
                                   const BootPlan& plan) {
  if (config.firmware.empty()) {
    return load_kernel(memory, "--kernel: " + config.kernel, config.kernel, plan);
  }
  const std::string context = "--firmware: " + config.firmware;
  return plan.firmware ? load_flat(memory, context, config.firmware, plan)
                       : load_kernel(memory, context, config.firmware, plan);
}

Outcome<GuestRange> load_initramfs(MemoryView memory, const std::string& path,
                                   const LoadedKernel& kernel, GuestAddress limit) {
  if (path.empty()) return GuestRange{};
  const std::string context = "--initramfs: " + path;
  VMM_STEP(context, const auto file, linux_loader::open_image(path));
  const std::array taken{GuestRange{GuestAddress(0), kernel.end}};
  VMM_STEP(context, const GuestAddress at,
           linux_loader::place_initrd(memory, file.source.size(),
                                      std::min(kernel.initrd_limit, limit), taken));
  VMM_STEP(context, const auto range, linux_loader::load_initrd(memory, file.source, at, taken));
  return range;
}

Outcome<Cmdline> check_cmdline(const std::string& text, std::size_t limit) {
  VMM_STEP("--cmdline", Cmdline cmdline, Cmdline::parse(text, limit));
  return cmdline;
}

// Memory is taken as the guest touches it, so a VM may have more than the host; but a size far
// beyond it is hardly meant, and cannot be had at once.
Outcome<void> check_against_host(const MemoryConfig& config) {
  constexpr std::uint64_t kOvercommit = 4;
  struct sysinfo host{};
  if (::sysinfo(&host) != 0) return {};
  const std::uint64_t bytes = (std::uint64_t{host.totalram} + host.totalswap) * host.mem_unit;
  if (config.size / kOvercommit <= bytes) return {};
  const std::string text = "--memory: size: " + std::to_string(config.size >> 20) +
                           " MiB are more than 4 times the " + std::to_string(bytes >> 20) +
                           " MiB of this host";
  if (config.reserve || config.prefault) return fail(runtime(text));
  VMM_LOG(kWarn, "%s", text.c_str());
  return {};
}

void log_range(const char* option, const std::string& path, const GuestRange& range) {
  VMM_LOG(kInfo, "%s: %s: in guest memory from %#llx to %#llx", option, path.c_str(),
          static_cast<unsigned long long>(range.start.raw()),
          static_cast<unsigned long long>(range.end.raw()));
}

Outcome<vm_memory::GuestMemory> make_guest_memory(const MemoryConfig& config,
                                                  std::span<const GuestRange> ram) {
  VMM_TRY_DO(check_against_host(config));
  std::vector<vm_memory::RegionConfig> regions;
  for (const GuestRange& range : ram) regions.push_back(region_config(config, range));
  VMM_STEP("--memory", auto memory, vm_memory::GuestMemory::create(regions));
  return memory;
}

}  // namespace

vm_memory::RegionConfig region_config(const MemoryConfig& config, const GuestRange& range) {
  // Advice: a host without transparent huge pages runs the VM without.
  const bool thp =
      config.thp && !config.hugepages && ::access("/sys/kernel/mm/transparent_hugepage", F_OK) == 0;
  return {
      .base = range.start,
      .bytes = range.end.raw() - range.start.raw(),
      .backing = config.is_shared() ? vm_memory::Backing::kMemfd : vm_memory::Backing::kAnonymous,
      .huge_pages = !config.hugepages                                ? vm_memory::HugePages::kNone
                    : config.hugepage_size == std::uint64_t{1} << 30 ? vm_memory::HugePages::k1GiB
                                                                     : vm_memory::HugePages::k2MiB,
      .transparent_huge_pages =
          thp ? vm_memory::ThpAdvice::kAlways : vm_memory::ThpAdvice::kDefault,
      .prefault = config.prefault ? vm_memory::Prefault::kPopulate : vm_memory::Prefault::kNone,
      .reserve = config.reserve,
      .mergeable = config.mergeable,
      .dump = false,
  };
}

Outcome<GuestImage> load_image(const VmConfig& config, const BootPlan& plan) {
  const bool firmware = !config.firmware.empty();
  std::vector<GuestRange> ram(plan.ram.begin(), plan.ram.end());
  if (firmware && plan.firmware) ram.insert(ram.begin(), *plan.firmware);
  VMM_TRY(vm_memory::GuestMemory memory, make_guest_memory(config.memory, ram));
  VMM_TRY(const LoadedKernel kernel, load_payload(memory.view(), config, plan));
  log_range(firmware ? "--firmware" : "--kernel", firmware ? config.firmware : config.kernel,
            {kernel.load, kernel.end});
  if (firmware && !(config.initramfs.empty() && config.cmdline.empty())) {
    VMM_LOG(kWarn, "--firmware: --initramfs and --cmdline are not used with it");
  }
  VMM_TRY(const GuestRange initrd, load_initramfs(memory.view(), firmware ? "" : config.initramfs,
                                                  kernel, plan.initrd_limit));
  if (initrd.start != initrd.end) log_range("--initramfs", config.initramfs, initrd);
  VMM_TRY(Cmdline cmdline, check_cmdline(firmware ? "" : config.cmdline,
                                         std::min(kernel.cmdline_capacity, plan.cmdline_bytes)));
  return GuestImage{.memory = std::move(memory),
                    .kernel = kernel,
                    .initrd = initrd,
                    .cmdline = std::move(cmdline)};
}

}  // namespace vmm::reference
