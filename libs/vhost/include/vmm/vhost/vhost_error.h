// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/error.h"

namespace vmm::vhost {

/// What this library itself finds wrong; everything else is an errno of the kernel.
enum class VhostError : std::uint8_t {
  // Memory tables.
  kNoRegions,       ///< a table needs one at least
  kTooManyRegions,  ///< more than MemoryTable::kMaxRegions
  kEmptyRegion,     ///< of 0 bytes
  kRegionOverflow,  ///< it passes 2^64
  kUnsorted,        ///< regions do not ascend, or overlap

  // Rings.
  kBadSize,     ///< 0, above the maximum or, for a split ring, no power of two
  kMisaligned,  ///< a ring address against virtio 1.3, 2.7 or 2.8; or host memory of odd alignment
  kRingNotMapped,  ///< a part of a ring is not contiguous guest memory, from its first byte to its
                   ///< last

  // IOTLB messages.
  kBadMessage,       ///< of another length, kind or permission than there are
  kBadMapping,       ///< no bytes, no host memory, or a range that passes 2^64
  kNoAddressSpaces,  ///< an address space other than 0, without version 2 of the messages
};

/// Control-path form of the error.
[[nodiscard]] Error make_error(VhostError error);

}  // namespace vmm::vhost
