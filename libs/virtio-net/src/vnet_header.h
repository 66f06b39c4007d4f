// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>

#include "vmm/base/endian.h"

namespace vmm::virtio_net {

/// What precedes each packet in both directions: virtio 1.3, 5.1.6.
struct VnetHeader {
  std::uint8_t flags = 0;
  std::uint8_t gso_type = 0;
  Le16 header_bytes = {};
  Le16 gso_bytes = {};
  Le16 csum_start = {};
  Le16 csum_offset = {};
  Le16 buffers = {};
};
static_assert(sizeof(VnetHeader) == 12);

inline constexpr std::uint8_t kNeedsCsum = 1;
inline constexpr std::uint8_t kDataValid = 2;

inline constexpr std::uint8_t kGsoNone = 0;
inline constexpr std::uint8_t kGsoTcp4 = 1;
inline constexpr std::uint8_t kGsoUdp = 3;
inline constexpr std::uint8_t kGsoTcp6 = 4;
inline constexpr std::uint8_t kGsoUdpL4 = 5;
inline constexpr std::uint8_t kGsoEcn = 0x80;  ///< with one of the TCP ones

/// Makes a driver's header into one that the host may be given with a packet of `bytes` bytes
/// (5.1.6.2): what 5.1.6.2.2 says to ignore is cleared. False: the packet is to be dropped, as the
/// header asks for what was not negotiated, or speaks of bytes that are not in the packet.
[[nodiscard]] bool accept_from_driver(VnetHeader& header, std::uint32_t bytes,
                                      std::uint64_t features);

/// The same for a header of the host, which may be older than the features that the driver has now
/// (5.1.6.4.1). `mtu` is 0 when the driver was not told one; 5.1.4.1.
[[nodiscard]] bool accept_from_host(VnetHeader& header, std::uint32_t bytes, std::uint64_t features,
                                    std::uint16_t mtu);

}  // namespace vmm::virtio_net
