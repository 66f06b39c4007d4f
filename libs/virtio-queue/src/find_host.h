// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include "vmm/virtio_queue/detail/ram.h"
#include "vmm/virtio_queue/layout.h"
#include "vmm/vm_memory/guest_access.h"

namespace vmm::virtio_queue::detail {

inline constexpr std::uint32_t kMaxIndirectBytes = 65535 * kDescriptorBytes;

[[nodiscard]] constexpr bool is_good_table(std::uint32_t bytes) {
  return bytes != 0 && bytes % kDescriptorBytes == 0 && bytes <= kMaxIndirectBytes;
}

/// Makes the region of `address` the window; the host address of a buffer that is all in there.
std::byte* find_elsewhere(const Ram& ram, Window& window, std::uint64_t address,
                          std::uint32_t length);

/// The host address of a buffer that lies in one region, else nullptr.
inline std::byte* find_host(const Ram& ram, Window& window, std::uint64_t address,
                            std::uint32_t length) {
  std::byte* const host = window.find(address, length);
  if (host != nullptr) [[likely]]
    return host;
  return find_elsewhere(ram, window, address, length);
}

/// An indirect table whose fields can be loaded as they are, else nullptr.
inline const std::byte* find_table(const Ram& ram, Window& window, std::uint64_t address,
                                   std::uint32_t length) {
  if (!is_good_table(length)) return nullptr;
  const std::byte* const host = find_host(ram, window, address, length);
  return vm_memory::detail::is_aligned(host, 8) ? host : nullptr;
}

}  // namespace vmm::virtio_queue::detail
