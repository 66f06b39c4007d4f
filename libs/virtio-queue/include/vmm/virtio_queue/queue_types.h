// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

namespace vmm::virtio_queue {

/// What Queue::pop() found.
enum class Pop : std::uint8_t {
  kEmpty,      ///< the driver has made nothing more available; or the next one is at I/O addresses
               ///< that are not mapped yet: look again when guest memory has changed
  kChain,      ///< a valid chain
  kMalformed,  ///< an invalid one, given back already with length 0; go on. See Chain::error()
  kBroken,     ///< the ring itself is invalid, until it is reset. See Chain::error()
};

/// Where a queue is in its rings: the vring bases of vhost. Split: indices modulo 2^16. Packed:
/// RingPosition::bits().
struct QueuePosition {
  std::uint16_t next_avail = 0;  ///< of the driver's entries, the first that was not popped
  std::uint16_t next_used = 0;   ///< of the device's entries, the first that was not given back

  friend bool operator==(const QueuePosition&, const QueuePosition&) = default;
};

}  // namespace vmm::virtio_queue
