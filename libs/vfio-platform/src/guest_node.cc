// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_platform/guest_node.h"

#include <array>
#include <charconv>

namespace vmm::vfio_platform {

std::string node_name(const NodePlan& plan, const GuestPlace& place) {
  if (place.registers.empty()) return plan.name;
  std::array<char, 16> digits{};
  const auto done = std::to_chars(digits.data(), digits.data() + digits.size(),
                                  place.registers.front().base.raw(), 16);
  return plan.name + "@" + std::string(digits.data(), done.ptr);
}

void fill_node(fdt::Node& node, const NodePlan& plan, const GuestPlace& place) {
  for (const Property& property : plan.copied) node.bytes(property.name, property.value);
  if (!place.registers.empty()) {
    std::vector<std::uint64_t> reg;
    for (const AddressRange& range : place.registers) {
      reg.push_back(range.base.raw());
      reg.push_back(range.size);
    }
    node.cells64("reg", reg);
  }
  if (!place.interrupt_cells.empty()) node.cells("interrupts", place.interrupt_cells);
}

std::vector<Need> unmet_needs(const fdt::FdtView& tree, std::string_view path,
                              const NodePlan& plan) {
  const auto node = tree.find(path);
  std::vector<Need> unmet;
  for (const Need& need : plan.needs) {
    if (!node || !tree.property(*node, need.property)) unmet.push_back(need);
  }
  return unmet;
}

}  // namespace vmm::vfio_platform
