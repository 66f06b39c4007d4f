// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio/iommu_group.h"

#include <cerrno>

#include "tests/rig.h"

using namespace vmm;
using namespace vmm::vfio;
using namespace vmm::vfio::testing;

TEST_CASE("all devices of a group are told, with their drivers", "[group]") {
  ScriptedKernel kernel;
  kernel.add(nic());
  ScriptedDevice neighbour = disk(5);
  neighbour.driver = "nvme";
  kernel.add(neighbour);
  ScriptedDevice third = disk(5);
  third.path = "/sys/devices/platform/a000000.dma";
  third.driver = "";
  kernel.add(third);
  ScriptedDevice other = disk(6);
  other.path = "/sys/devices/pci0000:00/0000:00:09.0";
  kernel.add(other);

  const auto members = group_members(kernel, kNic);
  REQUIRE(members);
  struct Row {
    const char* name;
    const char* driver;
    bool held;
  };
  const std::vector<Row> rows{
      {"0000:00:06.0", "vfio", true}, {"0000:00:07.0", "nvme", false}, {"a000000.dma", "", false}};
  REQUIRE(members->size() == rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    CHECK((*members)[i].name == rows[i].name);
    CHECK((*members)[i].driver == rows[i].driver);
    CHECK((*members)[i].is_held() == rows[i].held);
  }
  CHECK(*group_number(kernel, kNic) == 5);
  CHECK(*bus_of(kernel, kNic) == "pci");
}

TEST_CASE("the drivers of VFIO are known by name", "[group]") {
  for (const auto& [driver, held] : {std::pair("vfio-pci", true),
                                     {"vfio-platform", true},
                                     {"vfio-amba", true},
                                     {"mlx5-vfio-pci", true},
                                     {"pl330", false},
                                     {"", false}}) {
    CAPTURE(driver);
    CHECK(GroupMember{.name = "x", .driver = driver}.is_held() == held);
  }
}

TEST_CASE("a device without a group, and one that is not there", "[group]") {
  ScriptedKernel kernel;
  CHECK(is_error(group_members(kernel, kNic), VfioError::kNoGroup));
  CHECK(is_error(group_number(kernel, kNic), VfioError::kNoGroup));
  CHECK(bus_of(kernel, kNic).error().is_os(ENOENT));
}
