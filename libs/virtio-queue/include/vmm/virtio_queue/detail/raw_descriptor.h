// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>

#include "vmm/virtio_queue/detail/ring_word.h"
#include "vmm/virtio_queue/layout.h"

namespace vmm::virtio_queue::detail {

/// A descriptor of a packed ring, each field read once. Tables that the guest places may have any
/// alignment, so it is not for these; see PackedDescriptor.
struct RawPacked {
  std::uint64_t address;
  std::uint32_t length;
  std::uint16_t id;
  std::uint16_t flags;

  explicit RawPacked(const std::byte* at)
      : address(load<std::uint64_t>(at)), length(load<std::uint32_t>(at + 8)) {
    const auto rest = load<std::uint32_t>(at + 12);
    id = static_cast<std::uint16_t>(rest);
    flags = static_cast<std::uint16_t>(rest >> 16);
  }
};

}  // namespace vmm::virtio_queue::detail
