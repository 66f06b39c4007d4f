// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "failure.h"

namespace vmm::reference {

/// Has the calling thread run on these CPUs of the host alone; empty: where it does already. Those
/// that the host has not are passed over, as long as it has one of them. `context` begins the
/// message of a failure, which names the CPUs.
Outcome<void> run_on(const std::vector<std::uint64_t>& cpus, std::string_view context);

}  // namespace vmm::reference
