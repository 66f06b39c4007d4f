// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "vmm/virtio_queue/queue_error.h"

#include <string_view>

namespace vmm::virtio_queue {
namespace {

std::string_view message(std::int32_t code) {
  switch (static_cast<QueueError>(code)) {
    case QueueError::kBadSize:
      return "the queue cannot have this size";
    case QueueError::kMisaligned:
      return "a ring address is not aligned";
    case QueueError::kNotReady:
      return "the driver has not enabled the queue";
    case QueueError::kRingNotMapped:
      return "a ring is not in guest memory";
    case QueueError::kBadState:
      return "the saved state is not one of a queue";
    case QueueError::kNoMemory:
      return "the host has no memory for the queue";
    case QueueError::kBadAvailIndex:
      return "the driver offers more buffers than the queue holds";
    case QueueError::kBadHead:
      return "an available entry is not a descriptor of the table";
    case QueueError::kBadNext:
      return "a descriptor's successor is not in the table";
    case QueueError::kLoop:
      return "a descriptor chain runs in a circle";
    case QueueError::kTooLong:
      return "a descriptor chain has more than 2^32 - 1 bytes";
    case QueueError::kTooManyPieces:
      return "a descriptor chain has more pieces than the device takes";
    case QueueError::kBadIndirect:
      return "an indirect descriptor is malformed";
    case QueueError::kBadMemory:
      return "a descriptor points outside of guest memory";
    case QueueError::kBadOrder:
      return "a device-readable descriptor follows a device-writable one";
    case QueueError::kInFlight:
      return "the driver offers a buffer that is in use";
    case QueueError::kMissing:
      return "I/O address not mapped yet";
    case QueueError::kNotInFlight:
      return "a completion for a buffer that is not in use";
    case QueueError::kEndOfChain:
      return "the buffer ends before the data does";
    case QueueError::kSplitOutOfBounds:
      return "the buffer ends before the split point";
  }
  return "unknown queue error";
}

constexpr ErrorDomain kDomain{"virtqueue", &message};

}  // namespace

Error make_error(QueueError error) {
  return {kDomain, static_cast<std::int32_t>(error), "virtqueue"};
}

}  // namespace vmm::virtio_queue
