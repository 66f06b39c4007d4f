// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "pieces.h"
#include "vmm/virtio_queue/chain.h"
#include "vmm/virtio_queue/detail/ram.h"
#include "vmm/virtio_queue/detail/ring_word.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::virtio_queue::detail {

/// A descriptor, each field read once.
struct RawPacked {
  std::uint64_t address;
  std::uint32_t length;
  std::uint32_t rest;  // id, and flags in the upper half

  explicit RawPacked(const std::byte* at)
      : address(load<std::uint64_t>(at)),
        length(load<std::uint32_t>(at + 8)),
        rest(load<std::uint32_t>(at + 12)) {}

  [[nodiscard]] std::uint16_t id() const { return static_cast<std::uint16_t>(rest); }
  [[nodiscard]] std::uint16_t flags() const { return static_cast<std::uint16_t>(rest >> 16); }
  [[nodiscard]] std::uint16_t kind() const {
    return flags() & (kDescNext | kDescWrite | kDescIndirect);
  }
};

/// Reads, validates and resolves a list of descriptors of a packed ring: virtio 1.3, 2.8.5 to
/// 2.8.7. As with SplitWalk, fast() declines what carefully() then decides.
class PackedWalk {
 public:
  struct Ring {
    const std::byte* descriptors;
    std::uint32_t size;
    std::uint32_t at;          // the first descriptor of the list
    std::uint32_t avail_bits;  // AVAIL and USED of it, in the upper half
  };

  static bool fast(Chain& chain, const Ring& ring, const Ram& ram, Window& window);
  /// Also sets the buffer id (head) and the number of descriptors, of malformed lists too.
  static Result<void, QueueError> carefully(Chain& chain, const Ring& ring, const Ram& ram);

 private:
  static bool fast_table(Chain& chain, const RawPacked& indirect, const Ram& ram, Window& window,
                         Pieces pieces);
};

}  // namespace vmm::virtio_queue::detail
