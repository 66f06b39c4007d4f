// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The configuration of a VM as JSON: what vm.create takes and vm.info shows. The names of members
// are cloud-hypervisor's; docs/api.md lists where they differ from the options of the command line.

#include <string>
#include <string_view>
#include <vector>

#include "config.h"
#include "failure.h"

namespace vmm::reference {

/// Reads a configuration. Each member is what the option of the command line is that means the
/// same, and obeys the rules of that option; failures, of kind kUsage, name option and key. Absent
/// and null: the default. Members that are not known are passed over; what this VMM does not offer
/// is refused.
Outcome<VmConfig> parse_vm_json(std::string_view text);

/// Adds the device that a JSON object describes to the list `section` ("disks", "net", ...) or, for
/// those that a VM has one of ("vsock"), sets it. check_devices() is the caller's.
/// Failures: as parse_vm_json(); a `section` that is not known.
Outcome<void> add_device_json(std::string_view section, std::string_view text, VmConfig& vm);

/// A member that a configuration may have.
struct JsonMemberInfo {
  std::string name;     ///< "disks[].path"
  std::string option;   ///< of the command line, that means the same: "disk"; empty: none
  std::string key;      ///< of that option's value; empty: the value itself
  bool offered = true;  ///< false: refused, unless it asks for nothing
};

/// All members that are known, in the order in which they are read.
[[nodiscard]] std::vector<JsonMemberInfo> json_members();

/// The same as JSON: parse_vm_json() gets the same configuration from it. What is not set is left
/// out.
[[nodiscard]] std::string vm_json(const VmConfig& vm);

}  // namespace vmm::reference
