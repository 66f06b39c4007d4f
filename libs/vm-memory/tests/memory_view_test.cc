// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_memory/memory_view.h"

#include <array>
#include <catch2/catch.hpp>
#include <vector>

#include "vmm/base/endian.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::vm_memory {
namespace {

TEST_CASE("a view stands on a plain vector", "[memory_view]") {
  std::vector<std::byte> ram(0x1000);
  const RegionSpan region{GuestAddress(0x1000), ram};
  const MemoryView memory(region);
  REQUIRE(memory.write(GuestAddress(0x1ffc), Le32(0x01020304)));
  CHECK(memory.read<Le32>(GuestAddress(0x1ffc))->get() == 0x01020304);
  CHECK(memory.read<Le32>(GuestAddress(0x1ffd)).error() == MemoryError::kPartial);
  CHECK(memory.read<Le32>(GuestAddress(0xfff)).error() == MemoryError::kUnmapped);
}

TEST_CASE("guest memory is created from a list of regions", "[guest_memory]") {
  const std::array configs{RegionConfig{.base = GuestAddress(0), .bytes = 0x1000},
                           RegionConfig{.base = GuestAddress(0x1000), .bytes = 0x2000}};
  auto memory = GuestMemory::create(configs);
  REQUIRE(memory);
  const MemoryView view = memory->view();
  const std::array<std::byte, 4> in{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
  std::array<std::byte, 4> out{};
  REQUIRE(view.write_bytes(GuestAddress(0xffe), in));
  REQUIRE(view.read_bytes(GuestAddress(0xffe), out));
  CHECK(in == out);
}

}  // namespace
}  // namespace vmm::vm_memory
