// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/aarch64/topology.h"

#include <array>

namespace vmm::arch::aarch64 {

Result<void, ArchError> check_topology(const Topology& topology, std::uint32_t vcpus) {
  constexpr std::uint32_t kMaxLevel = 1 << 16;
  if (vcpus == 0) return fail(ArchError::kNoCpus);
  const std::array levels = {topology.threads_per_core, topology.cores_per_cluster,
                             topology.clusters_per_socket, topology.sockets};
  std::uint64_t room = 1;
  for (const std::uint32_t level : levels) {
    if (level == 0 || level > kMaxLevel) return fail(ArchError::kBadTopology);
    // Four levels of 2^16 make 2^64, so that the product stops at what any guest may have.
    room *= level;
    if (room > kMaxLevel) room = kMaxLevel;
  }
  if (vcpus > room) return fail(ArchError::kTooManyCpus);
  return {};
}

}  // namespace vmm::arch::aarch64
