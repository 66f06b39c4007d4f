// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "config.h"
#include "failure.h"
#include "option_value.h"

namespace vmm::reference {

/// The socket of the back end of vhost_user=on; empty when that is off. The keys of `ours` are for
/// devices that the VMM serves itself.
Outcome<std::string> parse_vhost_socket(const OptionValue& value,
                                        std::initializer_list<std::string_view> ours);
/// vhost_mode=: whether the back end connects to us.
Outcome<bool> parse_vhost_mode(const OptionValue& value);
/// The keys that were given and are the business of a back end, which takes no notice of them; a
/// list for people. Of devices with vhost_user=on.
[[nodiscard]] std::string passed_over(const DiskConfig& disk);
[[nodiscard]] std::string passed_over(const NetConfig& net);

}  // namespace vmm::reference
