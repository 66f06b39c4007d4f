// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>

#include "vmm/base/guest_address.h"
#include "vmm/base/result.h"
#include "vmm/vhost/vhost_error.h"
#include "vmm/virtio_queue/detail/rings.h"
#include "vmm/virtio_queue/layout.h"
#include "vmm/virtio_queue/queue_types.h"
#include "vmm/vm_memory/memory_view.h"

namespace vmm::vhost {

/// A setting of one ring. Two numbers of one type would be easy to mix up.
struct VringValue {
  std::uint32_t ring = 0;   ///< from 0
  std::uint32_t value = 0;  ///< its meaning is the request's
};

/// Where the three parts of a ring are, as a device sees them: addresses of this process for what
/// the kernel does itself, I/O addresses for hardware (vDPA).
struct VringAddresses {
  /// @{
  /// The descriptor, driver and device area (virtio 1.3, 2.6), each with its alignment.
  std::uint64_t descriptors = 0;
  std::uint64_t driver = 0;
  std::uint64_t device = 0;
  /// @}
  /// Where the device area is in guest memory: writes to it are logged there. nullopt: they are
  /// not logged.
  std::optional<GuestAddress> log = {};

  friend bool operator==(const VringAddresses&, const VringAddresses&) = default;
};

/// What a driver set up, with what it is held against.
struct VringSetup {
  /// Size and addresses, as the driver wrote them; borrowed.
  const virtio_queue::QueueShape& shape;
  std::uint16_t max_size = virtio_queue::kMaxQueueSize;  ///< the largest size that is taken
  bool log = false;                                      ///< log writes to the device area
};

/// The addresses for the kernel, once size, alignment and each byte of the three parts have been
/// checked: a part lies in one region of memory, which it may fill to the end.
/// Errors: kBadSize, kMisaligned, kRingNotMapped.
[[nodiscard]] Result<VringAddresses, VhostError> host_addresses(const VringSetup& setup,
                                                                vm_memory::MemoryView memory);
/// The same for a device that reaches guest memory at its guest addresses.
[[nodiscard]] Result<VringAddresses, VhostError> guest_addresses(const VringSetup& setup,
                                                                 vm_memory::MemoryView memory);

/// A queue's position as the base of a ring, and back. A split ring's position is its next_avail
/// alone; next_used stands in guest memory.
[[nodiscard]] constexpr std::uint32_t to_base(const virtio_queue::QueuePosition& position,
                                              bool packed) {
  return packed ? position.next_avail | std::uint32_t{position.next_used} << 16
                : std::uint32_t{position.next_avail};
}
/// Of a device that was stopped, which has no buffer in flight.
[[nodiscard]] constexpr virtio_queue::QueuePosition to_position(std::uint32_t base, bool packed) {
  const auto next_avail = static_cast<std::uint16_t>(base);
  return {.next_avail = next_avail,
          .next_used = packed ? static_cast<std::uint16_t>(base >> 16) : next_avail};
}

}  // namespace vmm::vhost
