// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The device tree of a guest. Spec: devicetree specification 0.4; the kernel's bindings.

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "vmm/arch/aarch64/layout.h"
#include "vmm/arch/aarch64/topology.h"
#include "vmm/fdt/fdt_writer.h"
#include "vmm/vm_memory/memory_view.h"

namespace vmm::arch::aarch64 {

/// What one CPU cache is like, and which vCPUs share it.
struct Cache {
  /// What it holds. Above level 1 all are unified.
  enum class Kind : std::uint8_t { kData, kInstruction, kUnified };

  std::uint32_t level = 1;        ///< 1 to 7; only level 1 is split into data and instructions
  Kind kind = Kind::kUnified;     ///< on level 1 one of each of two may be there
  std::uint32_t bytes = 0;        ///< its size; 0 is kBadCache
  std::uint32_t line_bytes = 64;  ///< a power of two; 0: not told
  std::uint32_t sets = 0;         ///< 0: not told
  std::uint32_t vcpus = 1;        ///< neighbours in index that share one; 0: all of them
};

/// The architecture of the interrupt controller.
enum class GicVersion : std::uint8_t { kV2, kV3 };

/// A range of RAM that the guest must leave alone, or use for one purpose.
struct ReservedMemory {
  std::string_view name;          ///< of the node, without its address
  AddressRange range;             ///< guest-physical
  std::string_view compatible{};  ///< empty: none
  bool no_map = true;             ///< the guest must not even map it
};

/// A virtio-mmio device.
struct VirtioMmio {
  AddressRange registers;  ///< guest-physical
  std::uint32_t spi;       ///< edge triggered
};

/// Functions of a PCI segment, with neighbouring numbers, that are behind the guest's virtio IOMMU.
/// Their endpoints are segment << 16 | requester id.
struct BehindIommu {
  std::uint32_t segment = 0;          ///< of the host with that number
  std::uint16_t first_requester = 0;  ///< bus << 8 | device << 3 | function
  std::uint32_t functions = 1;        ///< neighbours, from first_requester on
};

/// A PCI host: its segment's share of an ECAM window, and what its devices may use.
struct PciHost {
  /// Of configuration space for each bus.
  static constexpr std::uint64_t kBusBytes = std::uint64_t{1} << 20;

  /// Of its buses, 0 to 255; each has kBusBytes. The segments before it have as many: requester
  /// ids of all segments count on in the device ids of MSIs.
  AddressRange ecam{kEcam.base, kBusBytes};
  std::uint32_t segment = 0;  ///< "linux,pci-domain"
  AddressRange io = kPciIo;   ///< of size 0: none, as for the next two
  /// @{
  AddressRange window32 = kPciWindow32;  ///< guest-physical, the same addresses on the bus
  AddressRange window64{};
  /// @}
  std::uint32_t first_spi = kFirstPciSpi;  ///< of kPciSpis lines, level triggered
  bool msi = true;                         ///< through the interrupt translation service
  /// Device and function of the guest's virtio IOMMU, on one of the hosts at most.
  std::optional<std::uint8_t> iommu_devfn{};
  /// Who is behind it, of all segments; there is such a function then.
  std::span<const BehindIommu> behind_iommu{};
};

/// A node under the root that somebody else fills, such as that of a device of the host. Addresses
/// and sizes have two cells there, interrupts those of the GIC.
struct OtherNode {
  std::string_view name;   ///< with its unit address
  std::string_view label;  ///< by which overlays may name it, which has a phandle then; empty: none
  std::function<void(fdt::Node& node)> fill;  ///< called once, while the tree is built
};

/// The cells of a shared peripheral interrupt, as the GIC's binding has them: a level, high while
/// it is asserted, or a rising edge.
[[nodiscard]] std::array<std::uint32_t, 3> spi_cells(std::uint32_t spi, bool level);

/// The machine that the tree tells of. Everything is borrowed.
struct DeviceTreeConfig {
  std::span<const AddressRange> memory{};  ///< required; ascending
  std::uint32_t vcpus = 1;                 ///< 1 to kMaxVcpus; kMaxVcpusGicV2 with a GICv2
  std::optional<Topology> topology{};      ///< none: flat
  std::span<const Cache> caches{};         ///< in any order

  std::string_view bootargs{};            ///< the command line; empty: none
  AddressRange initrd{};                  ///< size 0: none
  std::span<const std::byte> rng_seed{};  ///< empty: none; Linux takes up to 512 bytes
  /// Where the kernel puts itself; none: it does not move.
  std::optional<std::uint64_t> kaslr_seed{};
  std::span<const ReservedMemory> reserved{};  ///< any order

  bool symbols = false;  ///< labels of the nodes with phandles, for overlays to name them

  GicVersion gic = GicVersion::kV3;  ///< what the VM has: see kvm::Gic::version()
  bool its = true;                   ///< of a GICv3: it can translate MSIs
  bool pmu = false;                  ///< vCPUs have performance counters
  bool serial = true;                ///< PL011 at kSerial, and the console
  bool rtc = true;                   ///< PL031 at kRtc
  bool power_key = true;             ///< the GPIO controller and the key on it
  /// @{
  std::span<const VirtioMmio> virtio_mmio{};  ///< what else there is
  std::span<const PciHost> pci{};
  std::span<const OtherNode> others{};
  /// @}
};

/// Builds the device tree of a guest with the addresses and interrupts of layout.h.
/// Errors (as vmm::Error): kNoMemory without `memory`; kNoCpus, kTooManyCpus, kBadTopology,
/// kBadRange, kBadInterrupt, kBadCache, kNoMsi; an FdtError, kTooLarge over 2 MiB.
Result<std::vector<std::byte>> build_device_tree(const DeviceTreeConfig& config);

/// Builds it and writes it at kFdt. Errors: as build_device_tree(), or a MemoryError.
Result<AddressRange> write_device_tree(vm_memory::MemoryView memory,
                                       const DeviceTreeConfig& config);

}  // namespace vmm::arch::aarch64
