// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/vm_allocator/alloc_error.h"

namespace vmm::vm_allocator {
namespace {

std::string_view message(std::int32_t code) {
  switch (static_cast<AllocError>(code)) {
    case AllocError::kBadRange:
      return "the first number of the range is above the last";
    case AllocError::kBadSize:
      return "the size is 0";
    case AllocError::kBadAlignment:
      return "the alignment is not a power of two";
    case AllocError::kUnaligned:
      return "the address is not a multiple of the alignment";
    case AllocError::kUnavailable:
      return "not available";
    case AllocError::kNotAllocated:
      return "not an allocated range";
    case AllocError::kOutOfRange:
      return "outside the allocator's range";
    case AllocError::kNeverAllocated:
      return "never allocated";
    case AllocError::kAlreadyFree:
      return "already free";
  }
  return "unknown error";
}

constexpr ErrorDomain kDomain{"vm-allocator", &message};

}  // namespace

Error make_error(AllocError error) {
  return {kDomain, static_cast<std::int32_t>(error), "allocate"};
}

}  // namespace vmm::vm_allocator
