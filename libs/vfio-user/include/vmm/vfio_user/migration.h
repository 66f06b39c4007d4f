// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <span>

#include "vmm/base/result.h"
#include "vmm/vfio/migration.h"

namespace vmm::vfio_user {

/// A device's state as a stream of bytes: what a device implements that can be migrated. The states
/// between which a client moves it, and the ways that are allowed, are the protocol's and kept here
/// (specification, "Direct State Transitions").
///
/// Threads: that of the session.
class Migration {
 public:
  using State = vfio::MigrationState;  ///< VFIO_DEVICE_STATE_*

  virtual ~Migration() = default;

  /// Whether the device can be saved while it runs (State::kPreCopy).
  [[nodiscard]] virtual bool has_pre_copy() const { return false; }
  /// The next bytes of the state, in kPreCopy or kStopCopy; fewer than there is room for when there
  /// are no more now.
  virtual Result<std::size_t> save(std::span<std::byte> to) = 0;
  /// Takes the next bytes of a state, in kResuming.
  virtual Result<void> restore(std::span<const std::byte> from) = 0;

  /// kRunning at first.
  [[nodiscard]] State state() const { return state_; }
  /// Goes to a state, one step after the other. When a step fails, the device stays where it was.
  /// Errors: EINVAL where no way leads there, or to kError; those of step().
  Result<void> go(State to);
  /// After a reset.
  void back_to_running() { state_ = State::kRunning; }

 protected:
  Migration() = default;
  ///@{
  /// For derived classes.
  Migration(const Migration&) = default;
  Migration& operator=(const Migration&) = default;
  ///@}

  /// Does one step, between two states that are neighbours: stops the device, or starts it; begins
  /// to save it, or to restore it. From kResuming to kStop: what came is complete. Errors: the step
  /// is not done.
  virtual Result<void> step(State from, State to) = 0;

 private:
  State state_ = State::kRunning;
};

}  // namespace vmm::vfio_user
