// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/aarch64/topology.h"

#include <catch2/catch.hpp>
#include <set>

#include "vmm/arch/aarch64/layout.h"
#include "vmm/arch/aarch64/registers.h"

namespace vmm::arch::aarch64 {
namespace {

TEST_CASE("affinities have 16 CPUs to the lowest level and 256 to the next", "[topology]") {
  struct Row {
    std::uint32_t index;
    std::uint32_t affinity;
  };
  const Row rows[] = {{0, 0},
                      {1, 1},
                      {15, 15},
                      {16, 0x100},
                      {17, 0x101},
                      {255, 0xf0f},
                      {256, 0x1000},
                      {511, 0x1f0f},
                      {4095, 0xff0f},
                      {4096, 0x1'0000},
                      {0xf'ffff, 0xff'ff0f}};
  for (const Row& row : rows) {
    CAPTURE(row.index);
    CHECK(mpidr_affinity(row.index) == row.affinity);
    CHECK(mpidr(row.index) == (0x8000'0000 | row.affinity));
  }
  std::set<std::uint32_t> all;
  for (std::uint32_t i = 0; i < kMaxVcpus; ++i) all.insert(mpidr_affinity(i));
  CHECK(all.size() == kMaxVcpus);
}

TEST_CASE("a topology has room for its CPUs or is refused", "[topology][hostile]") {
  struct Row {
    Topology topology;
    std::uint32_t vcpus;
    std::optional<ArchError> error;
  };
  constexpr std::uint32_t kLarge = 1 << 16;
  const Row rows[] = {
      {Topology::flat(1), 1, {}},
      {Topology::flat(512), 512, {}},
      {{2, 2, 2, 2}, 16, {}},
      {{2, 2, 2, 2}, 9, {}},
      {{kLarge, kLarge, kLarge, kLarge}, kLarge, {}},
      {{2, 2, 2, 2}, 17, ArchError::kTooManyCpus},
      {Topology::flat(4), 5, ArchError::kTooManyCpus},
      {Topology::flat(1), 0, ArchError::kNoCpus},
      {{0, 1, 1, 1}, 1, ArchError::kBadTopology},
      {{1, 0, 1, 1}, 1, ArchError::kBadTopology},
      {{1, 1, 0, 1}, 1, ArchError::kBadTopology},
      {{1, 1, 1, 0}, 1, ArchError::kBadTopology},
      {{1, 1, 1, kLarge + 1}, 1, ArchError::kBadTopology},
      {{kLarge, kLarge, kLarge, kLarge}, kLarge + 1, ArchError::kTooManyCpus},
  };
  for (const Row& row : rows) {
    CAPTURE(row.vcpus);
    const auto checked = check_topology(row.topology, row.vcpus);
    REQUIRE(checked.has_value() == !row.error);
    if (row.error) CHECK(checked.error() == *row.error);
  }
}

TEST_CASE("a kernel starts at EL1 with everything masked and its device tree in X0",
          "[registers]") {
  const BootRegisters boot = linux_registers(GuestAddress(0x4040'0000), kFdt.base);
  CHECK(boot.pstate == 0x3c5);
  CHECK(boot.pc == 0x4040'0000);
  CHECK(boot.x == std::array<std::uint64_t, 4>{0x4000'0000, 0, 0, 0});
}

}  // namespace
}  // namespace vmm::arch::aarch64
