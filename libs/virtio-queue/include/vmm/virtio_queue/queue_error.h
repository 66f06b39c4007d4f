// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/error.h"

namespace vmm::virtio_queue {

/// Why a configuration, a chain or a call was refused. Section numbers are those of virtio 1.3.
enum class QueueError : std::uint8_t {
  // Configuration.
  kBadSize,        ///< not a power of two (packed: 0), or above the maximum; 2.7, 2.8.10.1
  kMisaligned,     ///< a ring address against 2.7 or 2.8; or host memory of odd alignment
  kNotReady,       ///< the driver has not enabled the queue
  kRingNotMapped,  ///< a part of the rings is not contiguous guest RAM
  kBadState,       ///< a saved state that no queue can have had
  kNoMemory,       ///< the host has no address space left for the queue's books

  // The ring is broken; nothing more comes out of it until it is reset.
  kBadAvailIndex,  ///< more chains made available than the queue holds; 2.7.13.3, 2.8.17

  // A chain is malformed.
  kBadHead,        ///< an available entry names a descriptor beyond the table; 2.7.6
  kBadNext,        ///< `next` is beyond the table; 2.7.5
  kLoop,           ///< more descriptors than the table has; 2.7.5.2
  kTooLong,        ///< more than 2^32 - 1 bytes; 2.7.5.2
  kTooManyPieces,  ///< more host pieces than the device's chain has room for
  kBadIndirect,    ///< nested, with NEXT, empty, or not whole descriptors; 2.7.5.3.1, 2.8.7
  kBadMemory,      ///< a buffer or an indirect table is not in guest RAM, or not to be accessed so
  kBadOrder,       ///< device-readable after device-writable; 2.7.4.2, 2.8.17
  kInFlight,       ///< the driver offers a buffer that the device still has

  // A chain cannot be had yet: pop() says that there is none.
  kMissing,  ///< an I/O address is not mapped; memory will change when it is

  // Calls of the device.
  kNotInFlight,       ///< a completion for what was not popped, or was completed already
  kEndOfChain,        ///< fewer bytes left than asked for
  kSplitOutOfBounds,  ///< a split point beyond the end
};

/// Control-path form of the error.
[[nodiscard]] Error make_error(QueueError error);

}  // namespace vmm::virtio_queue
