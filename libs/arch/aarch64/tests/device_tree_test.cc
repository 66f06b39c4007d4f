// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/aarch64/device_tree.h"

#include <catch2/catch.hpp>
#include <string>

#include "tests/dtc.h"
#include "tests/machines.h"
#include "vmm/fdt/fdt_view.h"

namespace vmm::arch::aarch64 {
namespace {

using namespace testing;
using fdt::FdtView;

TEST_CASE("dtc has nothing to say about any machine's tree", "[device_tree]") {
  for (const Named& machine : machines()) {
    CAPTURE(machine.name);
    const auto blob = build_device_tree(machine.config);
    REQUIRE(blob.has_value());
    CHECK(FdtView::open(*blob).has_value());
    CHECK(blob->size() < kFdt.size);
    const auto verdict = testing::decompile(*blob);
    if (!verdict) {
      WARN("skipped: there is no dtc here");
      return;
    }
    CHECK(verdict->messages == "");
    CHECK(verdict->output.find("arm,armv8-timer") != std::string::npos);
  }
}

}  // namespace
}  // namespace vmm::arch::aarch64
