// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// Whether a device tree from outside, or one that a user's overlay changed, tells of the machine
// that the VMM is.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "vmm/arch/aarch64/device_tree.h"
#include "vmm/base/result.h"
#include "vmm/fdt/fdt_view.h"

namespace vmm::arch::aarch64 {

/// One thing that a tree and the VMM do not agree on.
struct Disagreement {
  /// Whose harm it is.
  enum class Kind : std::uint8_t {
    kWrong,   ///< the tree tells of something that is not there, or not so: a guest may fail
    kUnused,  ///< the VMM has something that the tree does not tell of: a guest does without it
  };
  Kind kind;         ///< an error, or a hint
  std::string node;  ///< its path; printable
  std::string text;  ///< what the tree has and what the VMM has
};

/// "/memory@40000000: reg: ...", in one line.
[[nodiscard]] std::string to_string(const Disagreement& disagreement);

/// Most disagreements that are told; a last one then says that there are more.
inline constexpr std::size_t kMaxDisagreements = 64;

/// Compares a tree with the machine of `config`, from which build_device_tree() would make one.
///
/// Looked at: memory, CPUs, PSCI, interrupt controller, timer, PMU, serial port, clock, GPIO
/// controller, virtio-mmio devices, PCI hosts, reserved memory, initrd and command line. Disabled
/// nodes are not there; nodes of other kinds are the user's own affair. Time and memory are linear
/// in the size of the tree.
[[nodiscard]] std::vector<Disagreement> check_device_tree(const fdt::FdtView& tree,
                                                          const DeviceTreeConfig& config);

/// What merge_overlay() answers.
struct MergedTree {
  std::vector<std::byte> blob;              ///< to be written at kFdt
  std::vector<Disagreement> disagreements;  ///< empty: tree and machine agree
};

/// Merges a user's compiled overlay into a tree and checks the result. Build the tree with
/// `config.symbols` for overlays that name nodes by label. Errors: those of fdt::apply_overlay().
Result<MergedTree, fdt::FdtError> merge_overlay(std::span<const std::byte> tree,
                                                std::span<const std::byte> overlay,
                                                const DeviceTreeConfig& config);

}  // namespace vmm::arch::aarch64
