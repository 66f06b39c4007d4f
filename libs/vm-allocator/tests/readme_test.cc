// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause

// The example of README.md.

#include <catch2/catch.hpp>

#include "vmm/vm_allocator/address_allocator.h"
#include "vmm/vm_allocator/id_allocator.h"

namespace {

using namespace vmm::vm_allocator;

vmm::Result<void> place_devices() {
  VMM_TRY(auto window, AddressAllocator::create({0xc000'0000, 0xfebf'ffff}));
  VMM_TRY(const AddressRange bar, window.allocate_first({.size = 0x4000, .alignment = 0x4000}));
  VMM_TRY(const AddressRange fixed, window.allocate_at(0xd000'0000, {.size = 0x1000}));
  window.for_each_free([](AddressRange) { /* what is left */ });
  VMM_TRY_DO(window.free(bar));
  VMM_TRY_DO(window.free(fixed));

  VMM_TRY(auto lines, IdAllocator<std::uint32_t>::create({5, 23}));
  VMM_TRY(const std::uint32_t line, lines.allocate());
  VMM_TRY_DO(lines.free(line));
  return {};
}

}  // namespace

TEST_CASE("the example of the README works") { REQUIRE(place_devices().has_value()); }
