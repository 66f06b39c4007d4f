// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The device tree of a guest. Spec: devicetree specification 0.4; the kernel's bindings.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "vmm/arch/aarch64/layout.h"
#include "vmm/arch/aarch64/topology.h"
#include "vmm/vm_memory/memory_view.h"

namespace vmm::arch::aarch64 {

/// What one CPU cache is like, and which vCPUs share it.
struct Cache {
  enum class Kind : std::uint8_t { kData, kInstruction, kUnified };

  std::uint32_t level = 1;  ///< 1 to 7; only level 1 is split into data and instructions
  Kind kind = Kind::kUnified;
  std::uint32_t bytes = 0;
  std::uint32_t line_bytes = 64;
  std::uint32_t sets = 0;
  std::uint32_t vcpus = 1;  ///< neighbours in index that share one; 0: all of them
};

enum class GicVersion : std::uint8_t { kV2, kV3 };

/// A range of RAM that the guest must leave alone, or use for one purpose.
struct ReservedMemory {
  std::string_view name;  ///< of the node, without its address
  AddressRange range;
  std::string_view compatible{};  ///< empty: none
  bool no_map = true;             ///< the guest must not even map it
};

/// A virtio-mmio device.
struct VirtioMmio {
  AddressRange registers;
  std::uint32_t spi;  ///< edge triggered
};

/// A PCI host with one bus: its segment's share of an ECAM window, and what its devices may use.
struct PciHost {
  AddressRange ecam{kEcam.base, std::uint64_t{1} << 20};
  std::uint32_t segment = 0;
  AddressRange io = kPciIo;  ///< of size 0: none, as for the next two
  AddressRange window32 = kPciWindow32;
  AddressRange window64{};
  std::uint32_t first_spi = kFirstPciSpi;  ///< of kPciSpis lines, level triggered
  bool msi = true;                         ///< through the interrupt translation service
};

struct DeviceTreeConfig {
  std::span<const AddressRange> memory{};  ///< required; ascending
  std::uint32_t vcpus = 1;
  std::optional<Topology> topology{};  ///< none: flat
  std::span<const Cache> caches{};     ///< in any order

  std::string_view bootargs{};
  AddressRange initrd{};                  ///< size 0: none
  std::span<const std::byte> rng_seed{};  ///< empty: none; Linux takes up to 512 bytes
  std::optional<std::uint64_t> kaslr_seed{};
  std::span<const ReservedMemory> reserved{};

  bool symbols = false;  ///< labels of the nodes with phandles, for overlays to name them

  GicVersion gic = GicVersion::kV3;
  bool its = true;   ///< of a GICv3: it can translate MSIs
  bool pmu = false;  ///< vCPUs have performance counters
  bool serial = true;
  bool rtc = true;
  bool power_key = true;  ///< the GPIO controller and the key on it
  std::span<const VirtioMmio> virtio_mmio{};
  std::span<const PciHost> pci{};
};

/// Builds the device tree of a guest with the addresses and interrupts of layout.h.
/// Errors (as vmm::Error): kNoMemory without `memory`; kNoCpus, kTooManyCpus, kBadTopology,
/// kBadRange, kBadInterrupt, kBadCache, kNoMsi; an FdtError, kTooLarge over 2 MiB.
Result<std::vector<std::byte>> build_device_tree(const DeviceTreeConfig& config);

/// Builds it and writes it at kFdt. Errors: as build_device_tree(), or a MemoryError.
Result<AddressRange> write_device_tree(vm_memory::MemoryView memory,
                                       const DeviceTreeConfig& config);

}  // namespace vmm::arch::aarch64
