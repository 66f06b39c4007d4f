// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The README's example, compiled and run.

#include "tests/rig.h"
#include "vmm/vfio_platform/guest_node.h"

namespace {

using namespace vmm;
using vfio_platform::GuestPlace;
using vfio_platform::PlatformDevice;

struct Vmm {
  vfio::Kernel& kernel;
  vfio::AddressSpace& space;
  vfio::RegionMapper& mapper;
  vfio_platform::LineRouter& lines;
  vm_device::MmioBus& bus;
};

Result<std::unique_ptr<PlatformDevice>> give(const Vmm& vmm, const std::string& path,
                                             const vfio_platform::HostNode& host, fdt::Node& root) {
  VMM_TRY(auto held, vfio_platform::open(vmm.kernel, vmm.space, path));
  VMM_TRY(auto device,
          PlatformDevice::create(
              {.device = std::move(held), .mapper = &vmm.mapper, .lines = &vmm.lines}));
  const std::array bases{GuestAddress(0xa00'0000), GuestAddress(0xa01'0000)};
  const std::array<std::uint32_t, 2> lines{12, 13};
  VMM_TRY_DO(device->attach(vmm.bus, bases, lines));

  // vfio_platform::read_host_node(path + "/of_node") reads `host`.
  const auto plan =
      plan_node(host, {.registers = device->regions(), .interrupts = device->interrupts()});
  const GuestPlace place{
      .registers = {{bases[0], device->region_bytes(0)}, {bases[1], device->region_bytes(1)}},
      .interrupt_cells = {0, 12, 4, 0, 13, 1}};  // as a GIC counts
  fdt::Node node = root.child(node_name(plan, place));
  fill_node(node, plan, place);
  return device;
}

}  // namespace

TEST_CASE("the README's example gives a platform device to a guest", "[readme]") {
  using namespace vfio_platform::testing;
  vfio::testing::ScriptedKernel kernel;
  kernel.add(dma_engine());
  const auto space = *vfio::AddressSpace::open(kernel, {.interface = vfio::Interface::kGroups});
  RegionRecorder mapper;
  FakeLines lines;
  vm_device::MmioBus bus;
  fdt::FdtWriter writer({});
  Result<std::unique_ptr<PlatformDevice>> device = fail(Error::os(EINVAL, "nothing yet"));
  {
    fdt::Node root = writer.root();
    device = give({kernel, *space, mapper, lines, bus}, kPath,
                  {.name = "dma@a003e00",
                   .properties = {property("compatible", literal("arm,pl330\0", 10))},
                   .children = {}},
                  root);
  }
  REQUIRE(device);
  const auto blob = writer.finish();
  REQUIRE(blob);
  CHECK(fdt::FdtView::open(*blob)->find("/dma@a000000"));
  CHECK(lines.all.size() == 2);
}
