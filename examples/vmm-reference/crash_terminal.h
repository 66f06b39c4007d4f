// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "failure.h"
#include "vmm/sys_util/terminal.h"

namespace vmm::reference {

/// A crash must not leave the user with a raw terminal: the signals of crashes restore `before`, if
/// it is of a terminal.
Outcome<void> restore_terminal_on_crash(const sys_util::TerminalSettings& before);
/// What those signals do first. Async-signal-safe; does nothing where there is nothing to restore.
void restore_terminal();

}  // namespace vmm::reference
