// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "boot.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "../machine.h"
#include "../opener.h"
#include "host_caches.h"
#include "vmm/arch/aarch64/dtb_check.h"
#include "vmm/arch/aarch64/layout.h"
#include "vmm/base/log.h"
#include "vmm/fdt/fdt_view.h"
#include "vmm/linux_loader/image_source.h"
#include "vmm/sys_util/random.h"

namespace vmm::reference {

namespace arm = arch::aarch64;

namespace {

constexpr std::size_t kCmdlineMaxBytes = 2048;

Outcome<std::vector<std::byte>> read_input(const std::string& option, const std::string& path,
                                           std::size_t limit) {
  std::vector<std::byte> bytes;
  if (path.empty()) return bytes;
  const std::string context = option + ": " + path;
  VMM_STEP(context, const auto file, linux_loader::open_image(path));
  if (file.source.size() > limit) {
    return fail(runtime(context + ": larger than " + std::to_string(limit >> 10) + " KiB"));
  }
  bytes.resize(file.source.size());
  VMM_STEP_DO(context, file.source.peek(0, bytes));
  return bytes;
}

// The header of a firmware volume (UEFI PI 1.8, volume 3, 3.2.1) is at the start of such an image,
// or behind a page that a jump skips.
bool is_firmware_volume(const linux_loader::ImageSource& file) {
  constexpr std::string_view kSignature = "_FVH";
  constexpr std::array<std::uint64_t, 2> kPlaces{0x28, 0x1028};
  return std::ranges::any_of(kPlaces, [&](std::uint64_t place) {
    std::array<std::byte, kSignature.size()> scratch{};
    const auto bytes = file.peek(place, scratch);
    return bytes && std::memcmp(bytes->data(), kSignature.data(), kSignature.size()) == 0;
  });
}

// Clients give such an image as the kernel, too.
Outcome<VmConfig> sort_payload(VmConfig config) {
  if (config.kernel.empty()) return config;
  const std::string context = "--kernel: " + config.kernel;
  VMM_STEP(context, const auto file, linux_loader::open_image(config.kernel));
  if (!is_firmware_volume(file.source)) return config;
  VMM_LOG(kInfo, "%s: a firmware volume, taken as --firmware", context.c_str());
  config.firmware = std::exchange(config.kernel, {});
  return config;
}

}  // namespace

Outcome<GuestImage> load_image(const VmConfig& given) {
  VMM_TRY(const VmConfig config, sort_payload(given));
  if (config.debug_console.mode != ConsoleConfig::Mode::kOff) {
    return fail(usage("--debug-console: aarch64 has no I/O ports"));
  }
  if (config.identity != IdentityConfig{}) {
    VMM_LOG(kWarn, "--platform: aarch64 guests get no SMBIOS tables: no names, no oem_strings");
  }
  VMM_STEP("--memory: size", const arm::RamRegions ram, arm::ram_regions(config.memory.size));
  std::vector<GuestRange> ranges;
  for (const AddressRange& range : ram) ranges.push_back({range.base, range.end()});
  VMM_TRY(GuestImage image,
          load_image(config, {.arch = linux_loader::Arch::kAarch64,
                              .ram = ranges,
                              .kernel_base = arm::kKernel,
                              .kernel_floor = arm::kKernel,
                              .initrd_limit = ram.initrd_limit(),
                              .cmdline_bytes = kCmdlineMaxBytes,
                              .firmware = GuestRange{arm::kFirmware.base, arm::kFirmware.end()}}));
  VMM_TRY(image.dtb, read_input("--dtb", config.dtb, arm::kFdt.size));
  VMM_TRY(image.dtb_overlay,
          read_input("--dtb-overlay", config.dtb_overlay, fdt::kMaxOverlayBytes));
  return image;
}

Outcome<GuestAddress> ram_end(const VmConfig& config) {
  VMM_STEP("--memory: size", const arm::RamRegions ram, arm::ram_regions(config.memory.size));
  return ram.top();
}

namespace aarch64 {
namespace {

std::optional<arm::Topology> topology_of(const CpusConfig& config) {
  if (!config.topology) return std::nullopt;
  return arm::Topology{.threads_per_core = config.topology->threads,
                       .cores_per_cluster = config.topology->cores,
                       .clusters_per_socket = config.topology->dies,
                       .sockets = config.topology->packages};
}

// The user's tree as it is: what it gets wrong is the user's to know.
Outcome<std::vector<std::byte>> take_tree(const VmConfig& config, std::vector<std::byte> blob,
                                          const arm::DeviceTreeConfig& machine) {
  const std::string context = "--dtb: " + config.dtb;
  VMM_STEP(context, const fdt::FdtView view, fdt::FdtView::open(blob));
  for (const arm::Disagreement& found : arm::check_device_tree(view, machine)) {
    VMM_LOG(kWarn, "%s: %s", context.c_str(), to_string(found).c_str());
  }
  blob.resize(view.blob().size());
  return blob;
}

// An overlay adds; one that makes the tree wrong is refused.
Outcome<std::vector<std::byte>> merge(const VmConfig& config, std::span<const std::byte> tree,
                                      std::span<const std::byte> overlay,
                                      const arm::DeviceTreeConfig& machine) {
  const std::string context = "--dtb-overlay: " + config.dtb_overlay;
  VMM_STEP(context, arm::MergedTree merged, arm::merge_overlay(tree, overlay, machine));
  for (const arm::Disagreement& found : merged.disagreements) {
    if (found.kind == arm::Disagreement::Kind::kWrong) {
      return fail(runtime(context + ": " + to_string(found)));
    }
    VMM_LOG(kWarn, "%s: %s", context.c_str(), to_string(found).c_str());
  }
  return std::move(merged.blob);
}

Outcome<std::vector<std::byte>> make_tree(const VmConfig& config, const GuestImage& image,
                                          const arm::DeviceTreeConfig& machine) {
  if (!image.dtb.empty()) return take_tree(config, image.dtb, machine);
  VMM_STEP("device tree", std::vector<std::byte> tree, arm::build_device_tree(machine));
  if (image.dtb_overlay.empty()) return tree;
  return merge(config, tree, image.dtb_overlay, machine);
}

// Fresh entropy for each boot.
struct Seeds {
  std::array<std::byte, 64> rng;
  std::uint64_t kaslr;

  static Outcome<Seeds> create() {
    Seeds seeds;
    VMM_STEP_DO("rng-seed", sys_util::fill_random(seeds.rng));
    VMM_STEP_DO("kaslr-seed",
                sys_util::fill_random(std::as_writable_bytes(std::span(&seeds.kaslr, 1))));
    return seeds;
  }
};

}  // namespace

Outcome<void> write_device_tree(const VmConfig& config, const GuestImage& image,
                                const KvmParts& parts) {
  VMM_STEP("memory map", const arm::RamRegions ram, arm::ram_regions(config.memory.size));
  VMM_TRY(const Seeds seeds, opening([] { return Seeds::create(); }));
  const std::string bootargs = image.cmdline.text();
  const auto caches = opening([] { return host_caches("/sys/devices/system/cpu/cpu0/cache"); });
  const arm::DeviceTreeConfig machine{
      .memory = {ram.begin(), ram.end()},
      .vcpus = config.cpus.boot,
      .topology = topology_of(config.cpus),
      .caches = caches,
      .bootargs = bootargs,
      .initrd = {image.initrd.start, image.initrd.end.raw() - image.initrd.start.raw()},
      .rng_seed = seeds.rng,
      .kaslr_seed = seeds.kaslr,
      .symbols = !image.dtb_overlay.empty(),
      .gic = parts.gic,
      .its = parts.its,
      .pmu = parts.pmu,
      .serial = parts.serial,
      .virtio_mmio = parts.virtio_mmio,
      .pci = parts.pci,
      .others =
          parts.platform != nullptr ? parts.platform->nodes() : std::span<const arm::OtherNode>{},
  };
  VMM_TRY(const std::vector<std::byte> tree, make_tree(config, image, machine));
  // What a user's own tree says of such devices is the user's to know.
  if (parts.platform != nullptr && image.dtb.empty()) {
    VMM_STEP("device tree", const fdt::FdtView view, fdt::FdtView::open(tree));
    VMM_TRY_DO(parts.platform->check(view));
  }
  const auto source = linux_loader::ImageSource::from_bytes(tree);
  VMM_STEP_DO("device tree",
              linux_loader::load_device_tree(image.memory.view(), source, arm::kFdt.base));
  return {};
}

}  // namespace aarch64
}  // namespace vmm::reference
