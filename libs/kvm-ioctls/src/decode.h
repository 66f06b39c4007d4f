// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <span>

#include "vmm/base/result.h"
#include "vmm/kvm_ioctls/exit.h"

namespace vmm::kvm_ioctls {

/// Decodes the exit in a vCPU's run page. `run` is the whole mapping, aligned to 8 bytes and at
/// least as long as struct kvm_run. Nothing outside of it is read or pointed to.
/// Errors: KvmError::kMalformedExit.
[[nodiscard]] Result<VcpuExit> decode_exit(std::span<std::byte> run);

/// What a KVM_RUN that failed with the errno value `error` means. The run page counts only after
/// EFAULT and EHWPOISON, and then only when it tells of a memory fault: otherwise it is stale.
/// Errors: `error`.
[[nodiscard]] Result<VcpuExit> decode_failed_run(std::span<std::byte> run, int error);

}  // namespace vmm::kvm_ioctls
