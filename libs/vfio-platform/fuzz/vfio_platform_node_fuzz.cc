// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// A node of the host whose names and values are the input's: whatever they are, the guest's node
// can be written, is read back as a tree, and names no other node of the host.

#include <array>
#include <string>

#include "fuzz_input.h"
#include "vmm/vfio_platform/guest_node.h"

namespace {

using namespace vmm;
using namespace vmm::vfio_platform;

// Some of each treatment, so that values of them are seen without guessing names.
constexpr std::array<std::string_view, 16> kNames{
    "compatible", "reg",          "interrupts", "reg-names",   "interrupt-names", "clocks",
    "resets",     "dma-coherent", "reg-shift",  "mac-address", "phy-mode",        "x-gpios",
    "vendor,x",   "phandle",      "pinctrl-0",  "status"};

HostNode node_of(Input& input) {
  HostNode node;
  node.name = input.text(input.byte());
  const std::uint8_t count = input.byte() % 32;
  for (std::uint8_t i = 0; i < count && !input.empty(); ++i) {
    const std::uint8_t which = input.byte();
    std::string name(which < 0xc0 ? kNames[which % kNames.size()] : input.text(which & 0x1f));
    node.properties.push_back({.name = std::move(name), .value = input.bytes(input.byte())});
  }
  if ((count & 1) != 0) node.children.emplace_back(input.text(input.byte() % 40));
  return node;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Input input(data, size);
  const HostNode host = node_of(input);
  const NodePlan plan = plan_node(host, {.registers = 1, .interrupts = 1});
  const GuestPlace place{.registers = {{GuestAddress(0xa00'0000), 0x1000}},
                         .interrupt_cells = {0, 12, 4}};
  for (const Property& copied : plan.copied) {
    for (const std::string_view never : {"clocks", "resets", "phandle", "x-gpios", "vendor,x"}) {
      require(copied.name != never);
    }
  }
  fdt::FdtWriter writer({});
  const std::string name = node_name(plan, place);
  {
    fdt::Node root = writer.root();
    root.u32("#address-cells", 2);
    root.u32("#size-cells", 2);
    fdt::Node node = root.child(name);
    fill_node(node, plan, place);
  }
  const auto blob = writer.finish();
  require(blob.has_value());
  const auto tree = fdt::FdtView::open(*blob);
  require(tree.has_value());
  const auto node = tree->find("/" + name);
  require(node.has_value() && tree->cells(*node, "reg").size() == 4);
  for (const Need& need : unmet_needs(*tree, "/" + name, plan)) {
    require(!tree->property(*node, need.property));
  }
  return 0;
}
