// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>

#include "config.h"
#include "failure.h"

namespace vmm::reference {

/// What of a VM is to have another size.
struct VmSizes {
  std::optional<std::uint64_t> vcpus;
  std::optional<std::uint64_t> ram_bytes;
  std::optional<std::uint64_t> balloon_bytes;
};

/// Gives the configuration of a VM that is not booted other sizes, for its next boot. Without a
/// balloon its size says nothing. Failures: no such VM could be booted; nothing has changed then.
Outcome<void> resize_config(VmConfig& vm, const VmSizes& sizes);

/// How much of `bytes` in all is to come from hotplug_size. Failures: the VM cannot have as much.
Outcome<std::uint64_t> hotplugged_bytes(const MemoryConfig& memory, std::uint64_t bytes);

}  // namespace vmm::reference
