// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/error.h"

namespace vmm::kvm_ioctls {

/// What this library itself finds wrong; everything else is an errno of the kernel.
enum class KvmError : std::uint8_t {
  kApiVersion,     ///< the kernel's KVM_GET_API_VERSION is not 12
  kMalformedExit,  ///< an exit whose data lies outside of the run page, or of a size that cannot be
  kMalformedStats,  ///< a statistics descriptor that contradicts its header
  kBadRing,         ///< indices of a shared ring outside of the ring
  kBadSlot,         ///< a memory slot of no bytes, unaligned, or beyond the address space
  kNoFreeSlot,      ///< as many memory slots in use as the VM has
};

/// Control-path form of the error.
Error make_error(KvmError error);

}  // namespace vmm::kvm_ioctls
