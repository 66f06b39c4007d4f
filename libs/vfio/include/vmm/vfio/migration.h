// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"
#include "vmm/vfio/device.h"
#include "vmm/vfio/dma_span.h"

// Migration, version 2, and dirty pages that the device itself logs: features 1, 2 and 6 to 9.

namespace vmm::vfio {

/// enum vfio_device_mig_state.
enum class MigrationState : std::uint8_t {
  kError,
  kStop,
  kRunning,
  kStopCopy,
  kResuming,
  kRunningP2p,
  kPreCopy,
  kPreCopyP2p,
};

/// What the device can do.
struct MigrationSupport {
  bool stop_copy = false;  ///< without it there is no migration
  bool p2p = false;        ///< kRunningP2p: other devices may still reach it
  bool pre_copy = false;   ///< kPreCopy: state is read while it runs
};
/// nullopt: none. Errors: those of the kernel.
Result<std::optional<MigrationSupport>> migration_support(const Device& device);

/// Errors: EPROTO for a state that there is not; those of the kernel.
Result<MigrationState> migration_state(const Device& device);
/// Moves the device to a state; the kernel goes through those between. The descriptor is for the
/// device's state, to read (kStopCopy, kPreCopy) or to write (kResuming), empty for other states.
/// When it fails, the device is in another state (ask migration_state()), at worst kError, out of
/// which only Device::reset() leads.
/// Errors: those of the kernel.
Result<UniqueFd> set_migration_state(const Device& device, MigrationState state);

/// How much kStopCopy would give at most, an estimate. Errors: those of the kernel.
Result<std::uint64_t> stop_copy_bytes(const Device& device);
/// What is left to read in kPreCopy, estimates.
struct PreCopyLeft {
  /// @{
  /// VFIO_MIG_GET_PRECOPY_INFO: of the first part, and of what changed since
  std::uint64_t initial_bytes = 0;
  std::uint64_t dirty_bytes = 0;
  /// @}
};
/// `state` is the descriptor that kPreCopy gave. Errors: those of the kernel.
Result<PreCopyLeft> pre_copy_left(const Device& device, const UniqueFd& state);

/// Lets the device log what it writes, in pages of that size; the kernel takes a few hundred
/// ranges. Errors: kTooLarge for more than 255 ranges; ENOTTY when the device cannot; those of the
/// kernel.
Result<void> start_dma_logging(const Device& device, std::uint64_t page_bytes,
                               std::span<const DmaSpan> ranges);
/// Ends it; what was not read is lost. Errors: those of the kernel.
Result<void> stop_dma_logging(const Device& device);
/// Adds the pages written since the last time to `bitmap`, bit 0 of word 0 for the first page.
/// Errors: kBadRange when the range is not of whole pages or the bitmap is too short for it; those
/// of the kernel.
Result<void> read_dma_log(const Device& device, DmaSpan range, std::uint64_t page_bytes,
                          std::span<std::uint64_t> bitmap);

}  // namespace vmm::vfio
