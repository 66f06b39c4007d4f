// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <span>
#include <string>

#include "config.h"
#include "failure.h"

namespace vmm::reference {

/// What the command line asks for.
struct Invocation {
  enum class Action { kRun, kShowHelp, kShowVersion };

  Action action = Action::kRun;
  unsigned verbosity = 0;  ///< how often -v was given
  std::string log_file;    ///< empty: standard error
  VmConfig vm;
};

/// Parses the command line without the program's name.
///
/// The options and the grammar of their values are those of cloud-hypervisor. An option or key of
/// theirs that this VMM does not offer yet is refused by name; nothing is ignored silently.
Outcome<Invocation> parse_command_line(std::span<const std::string> arguments);

/// The text of --help.
std::string help_text();

}  // namespace vmm::reference
