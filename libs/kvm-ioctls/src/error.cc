// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/kvm_ioctls/error.h"

namespace vmm::kvm_ioctls {

namespace {

std::string_view message(std::int32_t code) {
  switch (static_cast<KvmError>(code)) {
    case KvmError::kApiVersion:
      return "the kernel's KVM interface has an unknown version (12 is needed)";
    case KvmError::kMalformedExit:
      return "KVM reported an exit whose data cannot be right";
    case KvmError::kMalformedStats:
      return "the layout of KVM's statistics cannot be right";
    case KvmError::kBadRing:
      return "a ring shared with KVM has indices or entries that cannot be right";
    case KvmError::kBadSlot:
      return "a memory slot must be page-aligned, not empty, and inside of the address space";
    case KvmError::kNoFreeSlot:
      return "the VM has no memory slot left";
  }
  return "unknown KVM error";
}

constexpr ErrorDomain kKvmDomain{"kvm", &message};

}  // namespace

Error make_error(KvmError error) { return {kKvmDomain, static_cast<std::int32_t>(error), "KVM"}; }

}  // namespace vmm::kvm_ioctls
