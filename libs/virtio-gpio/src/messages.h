// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The messages of the GPIO device: virtio 1.3, 5.18.6 and 5.18.7. Requests are device-readable,
// responses device-writable.

#include <cstdint>

#include "vmm/base/endian.h"

namespace vmm::virtio_gpio {

enum class Message : std::uint16_t {
  kGetLineNames = 1,
  kGetDirection = 2,
  kSetDirection = 3,
  kGetValue = 4,
  kSetValue = 5,
  kSetIrqType = 6,
};

struct Request {
  Le16 message;
  Le16 line;
  Le32 value;
};
static_assert(sizeof(Request) == 8);

enum class Status : std::uint8_t { kOk = 0, kError = 1 };

/// The response to all but kGetLineNames, where the names follow the status.
struct Response {
  Status status = Status::kError;
  std::uint8_t value = 0;
};
static_assert(sizeof(Response) == 2);

enum class IrqType : std::uint8_t {
  kNone = 0,
  kRisingEdge = 1,
  kFallingEdge = 2,
  kBothEdges = 3,
  kHighLevel = 4,
  kLowLevel = 8,
};

/// What is sent to unmask the interrupt of a line.
struct IrqRequest {
  Le16 line;
};

enum class IrqStatus : std::uint8_t { kInvalid = 0, kValid = 1 };

}  // namespace vmm::virtio_gpio
