// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The messages of the RTC device: virtio 1.4. A request is device-readable, its answer
// device-writable; each begins with a header of eight bytes.

#include <array>
#include <cstdint>

#include "vmm/base/endian.h"

namespace vmm::virtio_rtc {

enum class Message : std::uint16_t {
  kRead = 0x0001,
  kReadCross = 0x0002,
  kConfig = 0x1000,
  kClockCapabilities = 0x1001,
  kCrossCapabilities = 0x1002,
};

enum class Status : std::uint8_t {
  kOk = 0,
  kNotSupported = 2,
  kNoDevice = 3,
  kInvalid = 4,
  kIoError = 5,
};

struct RequestHeader {
  Le16 message;
  std::array<std::uint8_t, 6> reserved{};
};
static_assert(sizeof(RequestHeader) == 8);

/// What follows the header in all requests but kConfig; `counter` is of the cross messages only.
struct ClockRequest {
  Le16 clock;
  std::uint8_t counter = 0;
  std::array<std::uint8_t, 5> reserved{};
};
static_assert(sizeof(ClockRequest) == 8);

struct ResponseHeader {
  Status status = Status::kOk;
  std::array<std::uint8_t, 7> reserved{};
};
static_assert(sizeof(ResponseHeader) == 8);

/// An answer: the header and eight bytes that each message uses its own way.
struct Response {
  ResponseHeader header;
  std::array<std::uint8_t, 8> body{};
};
static_assert(sizeof(Response) == 16);

}  // namespace vmm::virtio_rtc
