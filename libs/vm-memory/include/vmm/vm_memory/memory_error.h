// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/error.h"

namespace vmm::vm_memory {

/// Why an access to guest memory was refused.
enum class MemoryError : std::uint8_t {
  kUnmapped,       ///< the first byte is not guest RAM
  kPartial,        ///< starts in guest RAM and runs out of it
  kNotContiguous,  ///< all of it is guest RAM, but in several regions where one is needed
  kOverflow,       ///< address (or offset) plus size passes 2^64
  kMisaligned,     ///< not a multiple of the size of an atomic access
  kOutOfBounds,    ///< outside of the slice
  kNotTranslated,  ///< an IOVA without a mapping (behind an IOMMU only)
  kNoPermission,   ///< an IOVA whose mapping forbids this access (behind an IOMMU only)
};

/// Control-path form of the error.
[[nodiscard]] Error make_error(MemoryError error);

/// Why a region, or a set of regions, was refused.
enum class RegionError : std::uint8_t {
  kNoRegions,        ///< an empty set
  kZeroSize,         ///< a region of 0 bytes
  kOverflow,         ///< base plus size passes 2^64 - 1
  kUnsorted,         ///< the regions do not ascend
  kOverlap,          ///< two regions share an address
  kNotFound,         ///< no region has exactly this base and size
  kInvalidPointer,   ///< external memory that is null or not page aligned
  kInvalidHugePage,  ///< the size is not a multiple of the huge page size
  kInvalidConfig,    ///< options that exclude each other or are incomplete; dirty_page_bytes that
                     ///< is no power of two
};

/// Control-path form of the error.
[[nodiscard]] Error make_error(RegionError error);

}  // namespace vmm::vm_memory
