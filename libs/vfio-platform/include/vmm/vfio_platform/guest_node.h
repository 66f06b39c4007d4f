// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "vmm/base/address_range.h"
#include "vmm/fdt/fdt_view.h"
#include "vmm/fdt/fdt_writer.h"
#include "vmm/vfio_platform/node_plan.h"

// A device's node in the guest's tree.

namespace vmm::vfio_platform {

/// Where the guest has the device.
struct GuestPlace {
  std::vector<AddressRange> registers;  ///< in the order of the device's regions
  /// As the guest's interrupt controller counts: all cells of all interrupts, in order.
  std::vector<std::uint32_t> interrupt_cells;
};

/// The node's name with its unit address, that of its first registers; unique as long as each
/// device has registers.
[[nodiscard]] std::string node_name(const NodePlan& plan, const GuestPlace& place);

/// Fills a node of a parent with two cells for addresses and for sizes, and one interrupt
/// controller for all. The node is open and has neither properties nor children; mistakes are the
/// writer's to tell.
void fill_node(fdt::Node& node, const NodePlan& plan, const GuestPlace& place);

/// The needs that the node at a path has not got, when overlays have been applied. All of them
/// when there is no such node.
[[nodiscard]] std::vector<Need> unmet_needs(const fdt::FdtView& tree, std::string_view path,
                                            const NodePlan& plan);

}  // namespace vmm::vfio_platform
