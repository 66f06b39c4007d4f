// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "failure.h"
#include "vmm.h"

namespace vmm::reference {

/// How many values an option has.
enum class Arity : std::uint8_t {
  kNone,
  kMaybe,  ///< one or none
  kOne,
  kMany,  ///< one or more, and the option may be repeated
};

/// An option of the command line.
struct OptionInfo {
  std::string_view name;  ///< without dashes
  Arity arity = Arity::kNone;
  std::string_view help;    ///< what its value says
  bool offered = true;      ///< false: refused by name, as it is not offered yet
  bool of_process = false;  ///< rather than of the VM
};

/// All options, in the order of --help. -h, -V and -v are short forms besides.
std::vector<OptionInfo> all_options();

/// What the command line asks for.
struct Invocation {
  enum class Action { kRun, kShowHelp, kShowVersion };

  Action action = Action::kRun;
  unsigned verbosity = 0;  ///< how often -v was given
  std::string log_file;    ///< empty: standard error
  VmmOptions vmm;          ///< without the version
};

/// Parses the command line without the program's name.
///
/// The options and the grammar of their values are those of cloud-hypervisor. An option or key of
/// theirs that this VMM does not offer yet is refused by name; nothing is ignored silently. Without
/// an option of the VM there has to be --api-socket. --config names a file, which is read.
Outcome<Invocation> parse_command_line(std::span<const std::string> arguments);

/// The text of --help.
std::string help_text();

}  // namespace vmm::reference
