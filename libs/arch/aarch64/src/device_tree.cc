// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/aarch64/device_tree.h"

#include <string>

#include "tree.h"

namespace vmm::arch::aarch64 {
namespace {

using fdt::FdtWriter;
using fdt::Node;
using tree::Name;

bool valid(const AddressRange& range) {
  return range.size != 0 && range.base.checked_add(range.size).has_value();
}

bool valid_or_absent(const AddressRange& range) { return range.size == 0 || valid(range); }

Result<void, ArchError> check_iommu(const DeviceTreeConfig& config) {
  std::size_t iommus = 0;
  bool needed = false;
  for (const PciHost& host : config.pci) {
    iommus += host.iommu_devfn ? 1 : 0;
    needed = needed || !host.behind_iommu.empty();
    for (const BehindIommu& range : host.behind_iommu) {
      const bool good =
          range.functions != 0 && range.functions <= 0x1'0000u - range.first_requester;
      if (!good) return fail(ArchError::kBadRange);
    }
  }
  if (iommus > 1 || (needed && iommus == 0)) return fail(ArchError::kBadRange);
  return {};
}

Result<void, ArchError> check_pci(const DeviceTreeConfig& config) {
  constexpr std::uint64_t kMaxBuses = 256;  // device ids of MSIs have 16 bits, 8 for a bus
  for (const PciHost& host : config.pci) {
    const std::uint64_t buses = host.ecam.size / PciHost::kBusBytes;
    if (!valid(host.ecam) || host.ecam.size % PciHost::kBusBytes != 0 || buses > kMaxBuses ||
        host.segment >= kMaxBuses / buses) {
      return fail(ArchError::kBadRange);
    }
    if (!valid_or_absent(host.io) || !valid_or_absent(host.window32) ||
        !valid_or_absent(host.window64)) {
      return fail(ArchError::kBadRange);
    }
    if (host.io.size == 0 && host.window32.size == 0 && host.window64.size == 0) {
      return fail(ArchError::kBadRange);  // nothing for its devices; empty ranges mean everything
    }
    if (host.first_spi > kSpiCount - kPciSpis) return fail(ArchError::kBadInterrupt);
    if (host.msi && (config.gic != GicVersion::kV3 || !config.its)) return fail(ArchError::kNoMsi);
  }
  return check_iommu(config);
}

Result<void, ArchError> check(const DeviceTreeConfig& config) {
  if (config.memory.empty()) return fail(ArchError::kNoMemory);
  if (!sorted_and_disjoint(config.memory)) return fail(ArchError::kBadRange);
  if (!valid_or_absent(config.initrd)) return fail(ArchError::kBadRange);
  const std::uint32_t most = config.gic == GicVersion::kV3 ? kMaxVcpus : kMaxVcpusGicV2;
  if (config.vcpus > most) return fail(ArchError::kTooManyCpus);
  VMM_TRY_DO(check_topology(config.topology.value_or(Topology::flat(config.vcpus)), config.vcpus));
  VMM_TRY_DO(tree::check_caches(config));
  for (const ReservedMemory& reserved : config.reserved) {
    if (!valid(reserved.range)) return fail(ArchError::kBadRange);
  }
  for (const VirtioMmio& device : config.virtio_mmio) {
    if (!valid(device.registers)) return fail(ArchError::kBadRange);
    if (device.spi >= kSpiCount) return fail(ArchError::kBadInterrupt);
  }
  return check_pci(config);
}

void put_chosen(Node& root, const DeviceTreeConfig& config) {
  Node chosen = root.child("chosen");
  if (!config.bootargs.empty()) chosen.string("bootargs", config.bootargs);
  if (config.serial) chosen.string("stdout-path", Name::at("/pl011", kSerial.base.raw()));
  if (config.initrd.size != 0) {
    chosen.u64("linux,initrd-start", config.initrd.base.raw());
    chosen.u64("linux,initrd-end", config.initrd.end().raw());
  }
  if (config.kaslr_seed) chosen.u64("kaslr-seed", *config.kaslr_seed);
  if (!config.rng_seed.empty()) chosen.bytes("rng-seed", config.rng_seed);
}

void put_memory(Node& root, std::span<const AddressRange> ranges) {
  std::vector<std::uint64_t> reg;
  reg.reserve(2 * ranges.size());
  for (const AddressRange& range : ranges) {
    reg.push_back(range.base.raw());
    reg.push_back(range.size);
  }
  Node memory = root.child(Name::at("memory", ranges.front().base.raw()));
  memory.string("device_type", "memory");
  memory.cells64("reg", reg);
}

void put_reserved(Node& root, std::span<const ReservedMemory> list) {
  if (list.empty()) return;
  Node parent = root.child("reserved-memory");
  parent.u32("#address-cells", 2);
  parent.u32("#size-cells", 2);
  parent.flag("ranges");
  for (const ReservedMemory& reserved : list) {
    Node node = parent.child(Name::at(reserved.name, reserved.range.base.raw()));
    if (!reserved.compatible.empty()) node.string("compatible", reserved.compatible);
    node.cells64("reg", {reserved.range.base.raw(), reserved.range.size});
    if (reserved.no_map) node.flag("no-map");
  }
}

void put_psci(Node& root) {
  Node psci = root.child("psci");
  psci.strings("compatible", {"arm,psci-1.0", "arm,psci-0.2"});
  psci.string("method", "hvc");
}

/// The labels by which overlays may name nodes: those that have a phandle.
void put_symbols(Node& root, const DeviceTreeConfig& config) {
  Node symbols = root.child("__symbols__");
  symbols.string("gic", Name::at("/intc", kGicDistributor.base.raw()));
  if (config.gic == GicVersion::kV3 && config.its) {
    const Name gic = Name::at("/intc", kGicDistributor.base.raw());
    const Name msi = Name::at("/msic", its(config.vcpus).base.raw());
    symbols.string("its", std::string(gic).append(msi));
  }
  if (config.serial || config.rtc || config.power_key) symbols.string("apb_pclk", "/apb-pclk");
  if (config.serial) symbols.string("pl011", Name::at("/pl011", kSerial.base.raw()));
  if (config.rtc) symbols.string("pl031", Name::at("/rtc", kRtc.base.raw()));
  if (config.power_key) symbols.string("pl061", Name::at("/pl061", kGpio.base.raw()));
  for (std::uint32_t cpu = 0; cpu < config.vcpus; ++cpu) {
    symbols.string(Name::numbered("cpu", cpu), Name::at("/cpus/cpu", mpidr_affinity(cpu)));
  }
  for (const OtherNode& other : config.others) {
    if (!other.label.empty()) symbols.string(other.label, "/" + std::string(other.name));
  }
}

void put_root(FdtWriter& writer, const DeviceTreeConfig& config) {
  Node root = writer.root();
  root.string("compatible", "linux,dummy-virt");
  root.string("model", "cpp-vmm");
  root.u32("#address-cells", 2);
  root.u32("#size-cells", 2);
  root.u32("interrupt-parent", tree::kGic);
  if (config.serial) {
    Node aliases = root.child("aliases");
    aliases.string("serial0", Name::at("/pl011", kSerial.base.raw()));
  }
  put_chosen(root, config);
  put_memory(root, config.memory);
  put_reserved(root, config.reserved);
  tree::put_cpus(root, config);
  put_psci(root);
  tree::put_interrupts(root, config);
  tree::put_devices(root, config);
  std::uint32_t phandle = tree::kFirstOther;
  for (const OtherNode& other : config.others) {
    Node node = root.child(other.name);
    other.fill(node);
    if (!other.label.empty()) node.phandle(phandle++);
  }
  if (config.symbols) put_symbols(root, config);
}

}  // namespace

std::array<std::uint32_t, 3> spi_cells(std::uint32_t spi, bool level) {
  return {tree::kSpi, spi, level ? tree::kLevelHigh : tree::kEdgeRising};
}

Result<std::vector<std::byte>> build_device_tree(const DeviceTreeConfig& config) {
  VMM_TRY_DO(check(config));
  FdtWriter writer({.max_bytes = kFdt.size});
  put_root(writer, config);
  VMM_TRY(std::vector<std::byte> blob, writer.finish());
  return blob;
}

Result<AddressRange> write_device_tree(vm_memory::MemoryView memory,
                                       const DeviceTreeConfig& config) {
  VMM_TRY(const std::vector<std::byte> blob, build_device_tree(config));
  VMM_TRY_DO(memory.write_bytes(kFdt.base, blob));
  return AddressRange{kFdt.base, blob.size()};
}

}  // namespace vmm::arch::aarch64
