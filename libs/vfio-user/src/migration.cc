// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vfio_user/migration.h"

#include <cerrno>
#include <optional>

namespace vmm::vfio_user {
namespace {

using State = vfio::MigrationState;

/// The first step of the shortest way that saves nothing in between; nullopt when there is none.
std::optional<State> next(State from, State to) {
  switch (from) {
    case State::kStop:
      return to == State::kPreCopy ? State::kRunning : to;
    case State::kRunning:
      return to == State::kPreCopy ? to : State::kStop;
    case State::kPreCopy:
      return to == State::kStopCopy ? to : State::kRunning;
    case State::kStopCopy:
      if (to == State::kPreCopy) return std::nullopt;
      return State::kStop;
    case State::kResuming:
      return State::kStop;
    default:
      return std::nullopt;
  }
}

bool is_target(State to, bool has_pre_copy) {
  switch (to) {
    case State::kStop:
    case State::kRunning:
    case State::kStopCopy:
    case State::kResuming:
      return true;
    case State::kPreCopy:
      return has_pre_copy;
    default:
      return false;
  }
}

}  // namespace

Result<void> Migration::go(State to) {
  if (!is_target(to, has_pre_copy())) return fail(Error::os(EINVAL, "migrate a device"));
  while (state_ != to) {
    const auto step_to = next(state_, to);
    if (!step_to) return fail(Error::os(EINVAL, "migrate a device"));
    VMM_TRY_DO(step(state_, *step_to));
    state_ = *step_to;
  }
  return {};
}

}  // namespace vmm::vfio_user
