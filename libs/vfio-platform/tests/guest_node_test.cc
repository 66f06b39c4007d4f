// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_platform/guest_node.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>

#include "tests/rig.h"
#include "vmm/sys_util/temp_directory.h"

using namespace vmm;
using namespace vmm::vfio_platform;
using namespace vmm::vfio_platform::testing;

namespace {

NodePlan usual_plan() {
  return plan_node(
      {.name = "dma-controller@a003e00",
       .properties = {property("compatible", literal("arm,pl330\0arm,primecell\0", 24)),
                      property("clocks", literal("\0\0\0\5", 4)), property("dma-coherent", ""),
                      property("dma-channels", literal("\0\0\0\10", 4)),
                      property("reg-names", literal("core\0wrap\0", 10))},
       .children = {}},
      {.registers = 2, .interrupts = 2});
}

const GuestPlace& usual_place() {
  static const GuestPlace place{
      .registers = {{GuestAddress(0xa00'0000), 4 * kPage}, {GuestAddress(0xa01'0000), 64}},
      .interrupt_cells = {0, 12, 4, 0, 13, 1}};
  return place;
}

std::vector<std::byte> tree_with(const NodePlan& plan, const GuestPlace& place) {
  fdt::FdtWriter writer({});
  {
    fdt::Node root = writer.root();
    root.string("compatible", "linux,dummy-virt");
    root.string("model", "test");
    root.u32("#address-cells", 2);
    root.u32("#size-cells", 2);
    root.u32("interrupt-parent", 1);
    {
      fdt::Node gic = root.child("intc@8ff0000");
      gic.string("compatible", "arm,gic-v3");
      gic.u32("#interrupt-cells", 3);
      gic.u32("#address-cells", 0);
      gic.flag("interrupt-controller");
      gic.cells64("reg", {0x8ff'0000, 0x1'0000});
      gic.phandle(1);
    }
    fdt::Node node = root.child(node_name(plan, place));
    fill_node(node, plan, place);
  }
  return *writer.finish();
}

}  // namespace

TEST_CASE("the guest's node has the plan's properties, and its own registers and interrupts",
          "[node]") {
  const NodePlan plan = usual_plan();
  CHECK(node_name(plan, usual_place()) == "dma-controller@a000000");
  const auto blob = tree_with(plan, usual_place());
  const auto tree = fdt::FdtView::open(blob);
  REQUIRE(tree);
  const auto node = tree->find("/dma-controller@a000000");
  REQUIRE(node);
  CHECK(tree->has_string(*node, "compatible", "arm,primecell"));
  CHECK(tree->property(*node, "dma-coherent")->empty());
  CHECK(tree->u32(*node, "dma-channels") == 8);
  CHECK_FALSE(tree->property(*node, "clocks"));
  const auto reg = tree->cells(*node, "reg");
  REQUIRE(reg.size() == 8);
  CHECK((reg[1] == 0xa00'0000 && reg[3] == 0x4000 && reg[5] == 0xa01'0000 && reg[7] == 64));
  const auto interrupts = tree->cells(*node, "interrupts");
  REQUIRE(interrupts.size() == 6);
  CHECK((interrupts[1] == 12 && interrupts[2] == 4 && interrupts[4] == 13 && interrupts[5] == 1));
}

TEST_CASE("a device without registers and interrupts has neither", "[node]") {
  const NodePlan plan = usual_plan();
  CHECK(node_name(plan, {}) == "dma-controller");
  const auto blob = tree_with(plan, {});
  const auto tree = *fdt::FdtView::open(blob);
  const auto node = tree.find("/dma-controller");
  REQUIRE(node);
  CHECK_FALSE(tree.property(*node, "reg"));
  CHECK_FALSE(tree.property(*node, "interrupts"));
}

TEST_CASE("needs are met by a tree that has the properties", "[node]") {
  NodePlan plan = usual_plan();
  const auto blob = tree_with(plan, usual_place());
  const auto tree = *fdt::FdtView::open(blob);
  const std::string path = "/" + node_name(plan, usual_place());
  CHECK(unmet_needs(tree, path, plan) == std::vector<Need>{{"clocks", Need::Reason::kReference}});
  CHECK(unmet_needs(tree, "/elsewhere", plan).size() == 1);
  plan.needs = {{"dma-coherent", Need::Reason::kReference}};
  CHECK(unmet_needs(tree, path, plan).empty());
}

TEST_CASE("the device tree compiler finds nothing wrong with the node", "[node][dtc]") {
  // NOLINTNEXTLINE(concurrency-mt-unsafe): tests have one thread
  if (std::system("command -v dtc >/dev/null 2>&1") != 0) {
    WARN("dtc is not installed");
    return;
  }
  const auto folder = sys_util::TempDirectory::create();
  REQUIRE(folder);
  const std::string path(folder->path());
  const auto blob = tree_with(usual_plan(), usual_place());
  std::ofstream(path + "/in", std::ios::binary)
      .write(reinterpret_cast<const char*>(blob.data()), static_cast<long>(blob.size()));
  const std::string command =
      "dtc -I dtb -O dts -o " + path + "/out " + path + "/in 2>" + path + "/log";
  CHECK(std::system(command.c_str()) == 0);  // NOLINT(concurrency-mt-unsafe)
  const auto text = [&path](const char* name) {
    std::ifstream in(path + name, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  };
  CHECK(text("/log").empty());
  CHECK(text("/out").find("interrupts = <0x00 0x0c 0x04 0x00 0x0d 0x01>;") != std::string::npos);
}
