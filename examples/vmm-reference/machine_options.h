// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The options of the machine itself, and what holds between all options.

#include <string>

#include "config.h"
#include "failure.h"

namespace vmm::reference {

/// Each takes the value of one option and puts what it says into `vm`; a failure names option and
/// key.
Outcome<void> parse_cpus(const std::string& text, VmConfig& vm);
Outcome<void> parse_memory(const std::string& text, VmConfig& vm);
Outcome<void> parse_serial(const std::string& text, VmConfig& vm);
Outcome<void> parse_debug_console(const std::string& text, VmConfig& vm);

/// When all options are in `vm`: decides what one option leaves to another, and checks what holds
/// between them: one payload, one terminal, check_devices(). `console_given`: whether the virtio
/// console was asked for, rather than being there by default.
Outcome<void> complete_config(bool console_given, VmConfig& vm);

}  // namespace vmm::reference
