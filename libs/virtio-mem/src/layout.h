// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

// What the driver sees: virtio 1.3, 5.15.4 and 5.15.6.

#include <array>
#include <cstdint>

#include "vmm/base/endian.h"

namespace vmm::virtio_mem {

struct Config {
  Le64 block_size;
  Le16 node_id;
  std::array<std::uint8_t, 6> padding{};
  Le64 addr;
  Le64 region_size;
  Le64 usable_region_size;
  Le64 plugged_size;
  Le64 requested_size;
};
static_assert(sizeof(Config) == 56);

enum class RequestType : std::uint16_t { kPlug = 0, kUnplug = 1, kUnplugAll = 2, kState = 3 };

struct Request {
  Le16 type;
  std::array<Le16, 3> padding;
  Le64 addr;
  Le16 nb_blocks;
  std::array<Le16, 3> more_padding;
};
static_assert(sizeof(Request) == 24);

enum class ResponseType : std::uint16_t { kAck = 0, kNack = 1, kBusy = 2, kError = 3 };
enum class BlockState : std::uint16_t { kPlugged = 0, kUnplugged = 1, kMixed = 2 };

struct Response {
  Le16 type;
  std::array<Le16, 3> padding;
  Le16 state;
};
static_assert(sizeof(Response) == 10);

}  // namespace vmm::virtio_mem
