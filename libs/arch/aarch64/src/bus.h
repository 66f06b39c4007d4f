// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "vmm/base/address_range.h"
#include "vmm/fdt/fdt_view.h"

namespace vmm::arch::aarch64::tree {

/// How the addresses of a node's children are read, and where they are in guest-physical memory.
/// Spec: devicetree specification 0.4, 2.3.5, 2.3.6 and 2.3.8.
class Bus {
 public:
  /// The bus that the root node is.
  explicit Bus(const fdt::FdtView& view);
  /// The bus that `node` on `parent` is; `parent` must outlive it.
  Bus(const fdt::FdtView& view, fdt::FdtView::Node node, const Bus& parent);

  /// The first kMaxRegisters ranges in the "reg" of a child. Those that have no guest-physical
  /// address (a CPU's, an I2C device's) are nullopt.
  [[nodiscard]] std::vector<std::optional<AddressRange>> registers(const fdt::FdtView& view,
                                                                   fdt::FdtView::Node child) const;
  static constexpr std::size_t kMaxRegisters = 64;
  [[nodiscard]] std::uint32_t address_cells() const { return address_cells_; }

 private:
  [[nodiscard]] std::optional<AddressRange> translate(AddressRange range) const;

  const Bus* parent_ = nullptr;
  std::uint32_t depth_ = 0;
  std::uint32_t address_cells_ = 2;  // what the specification says for nodes that say nothing
  std::uint32_t size_cells_ = 1;
  bool mapped_ = true;  // children have guest-physical addresses
  fdt::FdtView::Cells ranges_;
};

}  // namespace vmm::arch::aarch64::tree
