// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <string>

#include "vmm/base/result.h"
#include "vmm/base/unique_fd.h"

namespace vmm::sys_util {

/// A new pair of pseudo-terminals; see pty(7). Both ends are close-on-exec and raw.
struct PseudoTerminal {
  UniqueFd controller;  ///< the end of the one who emulates the terminal
  UniqueFd terminal;    ///< the other end; keep it open, or the controller hangs up with each user
  std::string path;     ///< where others open the other end, for example "/dev/pts/3"

  /// Of the devpts at /dev/pts where its ptmx may be opened, otherwise by /dev/ptmx.
  /// Errors: the errno of open(2) for /dev/ptmx, and of the ioctls. Works without a devpts mount
  /// of our own, as the other end is opened through the controller and not by its path.
  static Result<PseudoTerminal> open();
};

}  // namespace vmm::sys_util
