// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// The format of requests: virtio 1.3, 5.16.6.1. RequestHeader and what is to be written are
// device-readable; what was read, then the status, are device-writable.

#include <cstdint>

#include "vmm/base/endian.h"

namespace vmm::virtio_i2c {

struct RequestHeader {
  Le16 address;
  Le16 padding;
  Le32 flags;
};
static_assert(sizeof(RequestHeader) == 8);

inline constexpr std::uint32_t kFailNext = 1;
inline constexpr std::uint32_t kRead = 2;

enum class Status : std::uint8_t { kOk = 0, kError = 1 };

}  // namespace vmm::virtio_i2c
