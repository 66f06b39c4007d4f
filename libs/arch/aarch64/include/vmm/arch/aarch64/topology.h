// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/arch/aarch64/error.h"
#include "vmm/base/result.h"

namespace vmm::arch::aarch64 {

/// How a guest's vCPUs are arranged. Neighbours in index are neighbours in the lowest level.
struct Topology {
  /// @{
  /// How many of each in the next: 1 to 2^16.
  std::uint32_t threads_per_core = 1;
  std::uint32_t cores_per_cluster = 1;
  std::uint32_t clusters_per_socket = 1;
  std::uint32_t sockets = 1;
  /// @}

  /// `vcpus` cores of one thread in one cluster.
  [[nodiscard]] static constexpr Topology flat(std::uint32_t vcpus) {
    return {.threads_per_core = 1, .cores_per_cluster = vcpus};
  }
  friend constexpr bool operator==(const Topology&, const Topology&) = default;
};

/// Checks that `topology` has room for `vcpus` vCPUs. Errors: kBadTopology for a level of 0 or
/// above 2^16, kNoCpus, kTooManyCpus.
Result<void, ArchError> check_topology(const Topology& topology, std::uint32_t vcpus);

/// The affinity fields of vCPU `index`'s MPIDR_EL1, as KVM sets them: 16 vCPUs to a lowest level,
/// so that one SGI register write reaches all of them, and 256 of those to the next. This is also
/// the `reg` of its node in a device tree.
[[nodiscard]] constexpr std::uint32_t mpidr_affinity(std::uint32_t index) {
  return (index & 0xf) | (index >> 4 & 0xff) << 8 | (index >> 12 & 0xff) << 16;
}

/// MPIDR_EL1 of vCPU `index` as a guest reads it: with RES1 bit 31.
[[nodiscard]] constexpr std::uint64_t mpidr(std::uint32_t index) {
  return std::uint64_t{1} << 31 | mpidr_affinity(index);
}

}  // namespace vmm::arch::aarch64
