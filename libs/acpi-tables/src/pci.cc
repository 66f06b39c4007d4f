// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/acpi_tables/pci.h"

namespace vmm::acpi_tables {
namespace {

constexpr std::size_t kViotNodeCountAt = 36;
constexpr std::uint16_t kViotFirstNode = 48;

}  // namespace

void Mcfg::segment(std::uint16_t number, std::uint64_t base, std::uint8_t first_bus,
                   std::uint8_t last_bus) {
  if (first_bus > last_bus) return table_.out().fail(AcpiError::kBadRange);
  table_.out().put(base, number, first_bus, last_bus, std::uint32_t{0});
}

Viot::Viot(TableBuffer& out, const Oem& oem) : table_(out, "VIOT", 0, oem) {
  out.put(std::uint16_t{0}, kViotFirstNode, std::uint64_t{0});
}

void Viot::close() {
  table_.out().patch(table_.offset() + kViotNodeCountAt, nodes_);
  table_.close();
}

std::uint16_t Viot::next_node() {
  const std::size_t offset = table_.out().size() - table_.offset();
  if (offset > 0xffff) table_.out().fail(AcpiError::kTooManyElements);
  ++nodes_;
  return static_cast<std::uint16_t>(offset);
}

std::uint16_t Viot::virtio_iommu_pci(const PciFunction& function) {
  if (!function.valid()) table_.out().fail(AcpiError::kBadDevice);
  const std::uint16_t node = next_node();
  table_.out().put(std::uint8_t{3}, std::uint8_t{0}, std::uint16_t{16}, function.segment,
                   function.bdf(), std::uint64_t{0});
  return node;
}

std::uint16_t Viot::virtio_iommu_mmio(std::uint64_t base) {
  const std::uint16_t node = next_node();
  table_.out().put(std::uint8_t{4}, std::uint8_t{0}, std::uint16_t{16}, std::uint32_t{0}, base);
  return node;
}

void Viot::pci_range(const PciFunction& first, const PciFunction& last,
                     std::uint32_t first_endpoint, std::uint16_t iommu) {
  if (!first.valid() || !last.valid()) return table_.out().fail(AcpiError::kBadDevice);
  if (first.segment > last.segment || first.bdf() > last.bdf()) {
    return table_.out().fail(AcpiError::kBadRange);
  }
  next_node();
  table_.out().put(std::uint8_t{1}, std::uint8_t{0}, std::uint16_t{24}, first_endpoint,
                   first.segment, last.segment, first.bdf(), last.bdf(), iommu);
  table_.out().zeros(6);
}

void Viot::mmio_endpoint(std::uint64_t base, std::uint32_t endpoint, std::uint16_t iommu) {
  next_node();
  table_.out().put(std::uint8_t{2}, std::uint8_t{0}, std::uint16_t{24}, endpoint, base, iommu);
  table_.out().zeros(6);
}

}  // namespace vmm::acpi_tables
