// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "vmm/virtio_queue/chain.h"
#include "vmm/virtio_queue/detail/ram.h"

namespace vmm::virtio_queue::detail {

/// Reads, validates and resolves a chain of a split ring: virtio 1.3, 2.7.5.
///
/// fast() knows the chains that drivers make, and declines all others; carefully() knows all, and
/// the reason why one is refused. What fast() has read before it declined is forgotten.
class SplitWalk {
 public:
  /// Precondition of both: chain.head() is below `size`.
  static bool fast(Chain& chain, const std::byte* table, std::uint32_t size, const Ram& ram,
                   Window& window);
  /// Errors: those of a malformed chain.
  static Result<void, QueueError> carefully(Chain& chain, const std::byte* table,
                                            std::uint32_t size, const Ram& ram);
};

}  // namespace vmm::virtio_queue::detail
