// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <optional>
#include <vector>

#include "config.h"
#include "failure.h"
#include "vmm/kvm_ioctls/vm.h"
#include "vmm/vm_memory/guest_memory.h"

namespace vmm::reference {

/// The RAM of the machine: its regions, with the policy that --memory asks for.
Outcome<vm_memory::GuestMemory> make_guest_memory(const MemoryConfig& config);

}  // namespace vmm::reference
