// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "boot.h"

#include <array>
#include <vector>

#include "../identity_options.h"
#include "../machine.h"
#include "vmm/arch/x86_64/boot_params.h"
#include "vmm/arch/x86_64/layout.h"
#include "vmm/arch/x86_64/memory_map.h"
#include "vmm/arch/x86_64/pvh.h"

namespace vmm::reference {

using namespace arch::x86_64;
using linux_loader::LoadedKernel;
using vm_memory::MemoryView;

Outcome<GuestImage> load_image(const VmConfig& config) {
  for (const auto& [option, value] :
       {std::pair("--dtb", &config.dtb), std::pair("--dtb-overlay", &config.dtb_overlay)}) {
    if (!value->empty()) return fail(usage(std::string(option) + ": x86_64 has no device tree"));
  }
  VMM_STEP("--memory: size", const RamRegions ram, ram_regions(config.memory.size));
  std::vector<GuestRange> ranges;
  for (const AddressRange& range : ram) {
    ranges.push_back({range.base, GuestAddress(range.base.raw() + range.size)});
  }
  VMM_TRY(GuestImage image, load_image(config, {.arch = linux_loader::Arch::kX86_64,
                                                .ram = ranges,
                                                .kernel_base = std::nullopt,
                                                .kernel_floor = kHighRam,
                                                .initrd_limit = kLowRamEnd,
                                                .cmdline_bytes = kCmdlineMaxBytes}));
  if (image.kernel.format == linux_loader::KernelFormat::kElf && !image.kernel.pvh_entry) {
    const std::string context =
        config.firmware.empty() ? "--kernel: " + config.kernel : "--firmware: " + config.firmware;
    return fail(runtime(context + ": an ELF file without a PVH entry"));
  }
  return image;
}

Outcome<GuestAddress> ram_end(const VmConfig& config) {
  VMM_STEP("--memory: size", const RamRegions ram, ram_regions(config.memory.size));
  return ram.top();
}

namespace x86_64 {
namespace {

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

Outcome<void> write_smbios(const GuestImage& image, const IdentityConfig& identity) {
  VMM_STEP("--platform: SMBIOS tables", const std::vector<std::byte> tables,
           smbios::build(smbios_identity(identity), kSmbios, kResetVector.raw() - kSmbios.raw()));
  VMM_STEP_DO("--platform: SMBIOS tables", image.memory.view().write_bytes(kSmbios, tables));
  return {};
}

Outcome<BootRegisters> write_boot_structures(const GuestImage& image, const AcpiConfig& acpi) {
  const MemoryView memory = image.memory.view();
  VMM_STEP_DO("--cmdline", linux_loader::load_cmdline(memory, kCmdline, image.cmdline));
  VMM_STEP_DO("reset vector", write_reset_vector(memory));
  VMM_STEP("ACPI tables", const AcpiPlacement tables, write_acpi(memory, acpi));
  const auto ram_map = image.memory.snapshot();
  VMM_STEP("memory map", const RamRegions ram, ram_regions(ram_map->total_bytes()));
  const MemoryMap map = memory_map(ram);
  const AddressRange initrd{image.initrd.start, image.initrd.end.raw() - image.initrd.start.raw()};
  if (image.kernel.pvh_entry) {
    const std::array module{PvhModule{.range = initrd, .cmdline = GuestAddress(0)}};
    return start_pvh(memory, image.kernel,
                     {.cmdline = kCmdline,
                      .rsdp = tables.rsdp,
                      .map = map.entries(),
                      .modules = std::span(module).first(initrd.size == 0 ? 0 : 1)});
  }
  return start_bzimage(memory, image.kernel,
                       {.setup_header = image.kernel.setup_header.bytes(),
                        .cmdline = kCmdline,
                        .initrd = initrd,
                        .rsdp = tables.rsdp,
                        .map = map.entries()});
}

}  // namespace x86_64
}  // namespace vmm::reference
