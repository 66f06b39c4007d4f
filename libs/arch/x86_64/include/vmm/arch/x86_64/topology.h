// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/arch/x86_64/error.h"
#include "vmm/base/result.h"

namespace vmm::arch::x86_64 {

/// How a guest's vCPUs are arranged. Neighbours in index are neighbours in the lowest level.
struct Topology {
  /// @{
  /// How many of each in the next; at least 1.
  std::uint32_t threads_per_core = 1;
  std::uint32_t cores_per_die = 1;
  std::uint32_t dies_per_package = 1;
  std::uint32_t packages = 1;
  /// @}

  /// `vcpus` cores of one thread in one package.
  [[nodiscard]] static constexpr Topology flat(std::uint32_t vcpus) {
    return {.threads_per_core = 1, .cores_per_die = vcpus, .dies_per_package = 1, .packages = 1};
  }
  friend constexpr bool operator==(const Topology&, const Topology&) = default;
};

/// A topology that was checked, with the widths of its levels in an APIC id: each level has a bit
/// field of its own, so ids have holes where a level is no power of two.
class ApicIds {
 public:
  /// Errors: kBadTopology for a level of 0 or ids beyond 32 bits; kNoCpus; kTooManyCpus when the
  /// topology has room for fewer than `vcpus`.
  static Result<ApicIds, ArchError> create(const Topology& topology, std::uint32_t vcpus);

  /// The APIC id of vCPU `index`, below vcpus().
  [[nodiscard]] std::uint32_t id(std::uint32_t index) const;
  /// @{
  /// As create() was given them.
  [[nodiscard]] std::uint32_t vcpus() const { return vcpus_; }
  [[nodiscard]] const Topology& topology() const { return topology_; }
  /// @}

  /// @{
  /// Bits of an id below the core, the die and the package number.
  [[nodiscard]] unsigned core_shift() const { return core_shift_; }
  [[nodiscard]] unsigned die_shift() const { return die_shift_; }
  [[nodiscard]] unsigned package_shift() const { return package_shift_; }
  /// @}

 private:
  ApicIds() = default;

  Topology topology_;
  std::uint32_t vcpus_ = 0;
  unsigned core_shift_ = 0;
  unsigned die_shift_ = 0;
  unsigned package_shift_ = 0;
};

}  // namespace vmm::arch::x86_64
