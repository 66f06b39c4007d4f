// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/arch/x86_64/topology.h"

#include <bit>

namespace vmm::arch::x86_64 {
namespace {

/// Bits that hold the numbers 0 to count - 1.
constexpr unsigned width(std::uint32_t count) {
  return static_cast<unsigned>(std::bit_width(count - 1));
}

}  // namespace

Result<ApicIds, ArchError> ApicIds::create(const Topology& topology, std::uint32_t vcpus) {
  if (topology.threads_per_core == 0 || topology.cores_per_die == 0 ||
      topology.dies_per_package == 0 || topology.packages == 0) {
    return fail(ArchError::kBadTopology);
  }
  if (vcpus == 0) return fail(ArchError::kNoCpus);
  ApicIds ids;
  ids.topology_ = topology;
  ids.vcpus_ = vcpus;
  ids.core_shift_ = width(topology.threads_per_core);
  ids.die_shift_ = ids.core_shift_ + width(topology.cores_per_die);
  ids.package_shift_ = ids.die_shift_ + width(topology.dies_per_package);
  // 2^32 - 1 names all CPUs, so that ids must stay below 2^31 or so; no machine comes near.
  if (ids.package_shift_ + width(topology.packages) > 31) return fail(ArchError::kBadTopology);
  // Four factors whose widths sum to at most 31 bits do not overflow 64.
  const std::uint64_t room = std::uint64_t{topology.threads_per_core} * topology.cores_per_die *
                             topology.dies_per_package * topology.packages;
  if (vcpus > room) return fail(ArchError::kTooManyCpus);
  return ids;
}

std::uint32_t ApicIds::id(std::uint32_t index) const {
  const std::uint32_t thread = index % topology_.threads_per_core;
  index /= topology_.threads_per_core;
  const std::uint32_t core = index % topology_.cores_per_die;
  index /= topology_.cores_per_die;
  const std::uint32_t die = index % topology_.dies_per_package;
  index /= topology_.dies_per_package;
  return thread | core << core_shift_ | die << die_shift_ | index << package_shift_;
}

}  // namespace vmm::arch::x86_64
