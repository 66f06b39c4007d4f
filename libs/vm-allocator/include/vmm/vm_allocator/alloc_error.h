// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/error.h"

namespace vmm::vm_allocator {

/// Why an allocator refused.
enum class AllocError : std::uint8_t {
  kBadRange,        ///< the range to allocate from has its first number above its last
  kBadSize,         ///< a size of 0
  kBadAlignment,    ///< an alignment that is not a power of two
  kUnaligned,       ///< the address asked for is not a multiple of the alignment asked for
  kUnavailable,     ///< nothing free is large enough, or what was asked for is outside or taken
  kNotAllocated,    ///< what is to be freed is not exactly what was handed out
  kOutOfRange,      ///< the id is outside the allocator's range
  kNeverAllocated,  ///< the id was not handed out yet
  kAlreadyFree,     ///< the id was freed before
};

/// Control-path form of the error.
Error make_error(AllocError error);

}  // namespace vmm::vm_allocator
