// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/sys_util/page_size.h"

#include <catch2/catch.hpp>

#include "vmm/base/checked.h"

TEST_CASE("the page size is a power of two of at least 4 KiB") {
  REQUIRE(vmm::is_power_of_two(vmm::sys_util::page_size()));
  REQUIRE(vmm::sys_util::page_size() >= 4096);
}
