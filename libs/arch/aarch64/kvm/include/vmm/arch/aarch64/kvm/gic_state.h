// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The state of an interrupt controller for snapshots. Spec: the kernel's
// Documentation/virt/kvm/devices/arm-vgic-v3.rst, arm-vgic-its.rst and arm-vgic.rst.

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "vmm/arch/aarch64/device_tree.h"
#include "vmm/arch/aarch64/kvm/gic.h"
#include "vmm/base/result.h"

namespace vmm::arch::aarch64::kvm {

/// All registers of a Gic. The values of a list stand in the order in which they are restored; how
/// many there are depends on version, vCPUs and interrupts.
struct GicState {
  /// What belongs to one vCPU.
  struct Cpu {
    std::vector<std::uint64_t> registers;  ///< GICv3: the redistributor's; GICv2: the banked ones
    std::vector<std::uint64_t> interface;  ///< the CPU interface's
    friend bool operator==(const Cpu&, const Cpu&) = default;
  };
  /// The registers of the interrupt translation service; its tables are in guest memory.
  struct Its {
    std::uint64_t iidr = 0;          ///< GITS_IIDR; restored first
    std::uint64_t command_base = 0;  ///< GITS_CBASER
    /// @{
    std::uint64_t command_read = 0;  ///< GITS_CREADR and GITS_CWRITER
    std::uint64_t command_write = 0;
    /// @}
    std::array<std::uint64_t, 8> table_bases{};  ///< GITS_BASER<n>
    std::uint64_t control = 0;                   ///< GITS_CTLR; restored last
    friend bool operator==(const Its&, const Its&) = default;
  };

  GicVersion version = GicVersion::kV3;    ///< of the Gic that was saved
  std::uint32_t interrupts = 0;            ///< private and shared ones
  std::vector<std::uint64_t> distributor;  ///< of GICD
  std::vector<Cpu> cpus;                   ///< by vCPU index
  std::optional<Its> its;                  ///< nullopt without one
  friend bool operator==(const GicState&, const GicState&) = default;
};

/// Reads the state while no vCPU runs. With an ITS, KVM also writes the translation tables and the
/// pending message interrupts into guest memory, where the guest put their tables: save that later.
/// Errors: EBUSY while vCPUs run; those of the ioctls.
[[nodiscard]] Result<GicState> save_gic(const Gic& gic);

/// Gives a new Gic that was made like the saved one its state: once guest memory and the vCPUs'
/// registers are restored, before a vCPU runs.
/// Errors: kBadGicState for a state of another version, number of vCPUs or interrupts, or with
/// lists of other lengths, found before anything is written; those of the ioctls for values that
/// KVM refuses.
Result<void> restore_gic(const Gic& gic, const GicState& state);

}  // namespace vmm::arch::aarch64::kvm
