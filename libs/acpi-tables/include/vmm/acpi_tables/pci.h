// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/acpi_tables/table.h"

namespace vmm::acpi_tables {

/// A PCI function.
struct PciFunction {
  std::uint16_t segment = 0;  ///< the segment group
  std::uint8_t bus = 0;       ///< up to 255
  std::uint8_t device = 0;    ///< up to 31
  std::uint8_t function = 0;  ///< up to 7

  /// Whether device and function are in range.
  [[nodiscard]] constexpr bool valid() const { return device < 32 && function < 8; }
  /// Bus, device and function in 16 bits.
  [[nodiscard]] constexpr std::uint16_t bdf() const {
    return static_cast<std::uint16_t>(bus << 8 | (device & 31) << 3 | (function & 7));
  }
};

/// Where the configuration space of PCI segments is in memory. Spec: PCI Firmware 3.3, 4.1.2.
class Mcfg {
 public:
  /// Opens the table in `out`, which must outlive this object.
  Mcfg(TableBuffer& out, const Oem& oem) : table_(out, "MCFG", 1, oem) {
    out.put(std::uint64_t{0});
  }
  /// Sets length and checksum; further calls do nothing.
  void close() { table_.close(); }
  /// `base` is the guest-physical address of bus 0, also when the first bus is another one.
  /// Errors: kBadRange when the buses are reversed.
  void segment(std::uint16_t number, std::uint64_t base, std::uint8_t first_bus,
               std::uint8_t last_bus);

 private:
  Table table_;
};

/// Which devices are behind which virtio-iommu. Spec: ACPI 6.5, 5.2.32.
class Viot {
 public:
  /// Opens the table in `out`, which must outlive this object.
  Viot(TableBuffer& out, const Oem& oem);
  ~Viot() { close(); }
  Viot(const Viot&) = delete;
  Viot& operator=(const Viot&) = delete;
  /// Writes the node count and closes; further calls do nothing.
  void close();

  /// A virtio-iommu; the answer names it in the calls below. Errors: kBadDevice.
  std::uint16_t virtio_iommu_pci(const PciFunction& function);
  /// The same with its registers at guest-physical `base`.
  std::uint16_t virtio_iommu_mmio(std::uint64_t base);
  /// The functions from `first` to `last` are behind `iommu`, numbered from `first_endpoint` on.
  /// Errors: kBadDevice; kBadRange when reversed.
  void pci_range(const PciFunction& first, const PciFunction& last, std::uint32_t first_endpoint,
                 std::uint16_t iommu);
  /// The device at guest-physical `base` is endpoint number `endpoint` of `iommu`.
  void mmio_endpoint(std::uint64_t base, std::uint32_t endpoint, std::uint16_t iommu);

 private:
  /// The offset of the node that is written next, and its count.
  std::uint16_t next_node();
  Table table_;
  std::uint16_t nodes_ = 0;
};

}  // namespace vmm::acpi_tables
