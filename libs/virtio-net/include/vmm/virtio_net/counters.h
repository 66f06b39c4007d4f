// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

namespace vmm::virtio_net {

/// Of one direction: packets that arrived, and their bytes without the header of virtio.
struct TrafficCounters {
  std::uint64_t packets = 0;  ///< that arrived
  std::uint64_t bytes = 0;    ///< of these packets, without the header of virtio
};

/// What a network device has moved since it was made, as its driver sees it. What an engine of its
/// own moves (packet_engine.h) is not counted.
struct NetCounters {
  TrafficCounters received;     ///< from the network to the driver
  TrafficCounters transmitted;  ///< from the driver to the network
};

}  // namespace vmm::virtio_net
