// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_pci/config_plan.h"

#include <catch2/catch.hpp>

#include "tests/rig.h"

using namespace vmm;
using namespace vmm::vfio_pci;
using pci::PciError;
using Use = CapabilityUse;

TEST_CASE("plan: what a guest gets of a usual device", "[plan]") {
  const auto plan = plan_config(usual_registers().bytes);
  REQUIRE(plan);
  struct Row {
    std::uint16_t id;
    Use use;
    std::uint16_t bytes;
  };
  const std::vector<Row> rows{
      {0x01, Use::kPower, 8},      {0x05, Use::kMsi, 24},      {0x11, Use::kMsix, 12},
      {0x10, Use::kExpress, 0x3c}, {0x03, Use::kHidden, 0},    {0x09, Use::kPassed, 0x10},
      {0x01, Use::kHidden, 0},     {0x03, Use::kReadOnly, 12}, {0x10, Use::kHidden, 0}};
  std::vector<PlannedCapability> all = plan->capabilities;
  all.insert(all.end(), plan->extended.begin(), plan->extended.end());
  REQUIRE(all.size() == rows.size());
  for (std::size_t i = 0; i < rows.size(); ++i) {
    CAPTURE(i);
    CHECK(all[i].id == rows[i].id);
    CHECK(all[i].use == rows[i].use);
    CHECK(all[i].bytes == rows[i].bytes);
  }
  CHECK(plan->find(Use::kMsix)->at == kMsixAt);
  CHECK_FALSE(plan->find(Use::kFlr));
}

TEST_CASE("plan: lists that are malformed", "[plan][hostile]") {
  const auto refused = [](const Registers& config) {
    const auto plan = plan_config(config.bytes);
    return !plan && plan.error() == PciError::kBadCapability;
  };
  // A loop, and one of 0xff, which is 0xfc.
  CHECK(refused(Registers().list(0x40).capability(0x40, 9, 0x50, 4).capability(0x50, 9, 0x40, 4)));
  CHECK(refused(Registers().list(0x40).capability(0x40, 9, 0x40, 4)));
  CHECK(refused(Registers().list(0xff).put<std::uint8_t>(0xfd, 0xff)));
  // In the header.
  CHECK(refused(Registers().list(0x10)));
  CHECK(refused(Registers().list(0x40).capability(0x40, 9, 0x3c, 4)));
  // Beyond the end, and over the next one.
  CHECK(refused(Registers().list(0xf8).capability(0xf8, 0x11, 0)));
  CHECK(refused(Registers().list(0x40).capability(0x40, 5, 0x48, 0x80).capability(0x48, 9, 0, 8)));
  // Extended: a loop, below 0x100, beyond the end.
  CHECK(refused(Registers().extended(0x100, 3, 0x200).extended(0x200, 3, 0x100)));
  CHECK(refused(Registers().extended(0x100, 1, 0x80)));
  CHECK(refused(Registers().extended(0x100, 1, 0xffc).extended(0xffc, 3, 0)));
  CHECK_FALSE(plan_config(std::vector<std::byte>(64)).has_value());
}

TEST_CASE("plan: lists that are odd", "[plan]") {
  // No list, whatever the pointer says.
  CHECK(plan_config(Registers().put<std::uint16_t>(pci::kStatus, 0).list(0x10).bytes)
            ->capabilities.empty());
  // Nothing extended: zeros, or all ones.
  CHECK(plan_config(Registers().bytes)->extended.empty());
  CHECK(plan_config(Registers().put(0x100, ~std::uint32_t{0}).bytes)->extended.empty());
  CHECK(plan_config(Registers(256).bytes)->extended.empty());
  // A second MSI-X is nobody's.
  const auto twice = plan_config(
      Registers().list(0x40).capability(0x40, 0x11, 0x60).capability(0x60, 0x11, 0).bytes);
  REQUIRE(twice);
  CHECK(twice->capabilities[1].use == Use::kHidden);
  // A vendor's capability ends with the next one; one without a register is none.
  const auto vendor = plan_config(
      Registers().list(0x40).capability(0x40, 9, 0x48, 0xff).capability(0x48, 9, 0, 2).bytes);
  REQUIRE(vendor);
  CHECK(vendor->capabilities[0].bytes == 8);
  CHECK(vendor->capabilities[1].use == Use::kHidden);
  // Of version 1, which is shorter.
  CHECK(plan_config(Registers().list(0xe0).capability(0xe0, 0x10, 0, 1).bytes).has_value());
  CHECK_FALSE(plan_config(Registers().list(0xe0).capability(0xe0, 0x10, 0, 2).bytes).has_value());
}
