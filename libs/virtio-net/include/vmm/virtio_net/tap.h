// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "vmm/base/result.h"
#include "vmm/virtio_net/net_port.h"

namespace vmm::virtio_net {

using MacAddress = std::array<std::uint8_t, 6>;  ///< in the order of the wire

/// A network interface of the host whose packets come from here.
struct TapOptions {
  std::string name = {};     ///< empty: the kernel makes one up; "%d" in it is a free number
  std::uint16_t queues = 1;  ///< more than one: IFF_MULTI_QUEUE
  std::string ip = {};       ///< IPv4 in dots; empty: left as it is
  std::string mask = {};     ///< with `ip`
  std::optional<MacAddress> mac = {};     ///< nullopt: left as it is
  std::optional<std::uint16_t> mtu = {};  ///< bytes; nullopt: left as it is
};

/// The queues of an open tap, and what it is called.
struct Tap {
  std::string name;             ///< of the interface, made up or asked for
  std::vector<NetPort> queues;  ///< as many as were asked for
};

/// Opens the tap, makes it when there is none of this name, and brings it up. A tap that was made
/// persistent by others stays so; one made here goes with its last queue.
///
/// Errors: EINVAL for a name, an address or a number of queues that cannot be; those of
/// /dev/net/tun: EPERM without CAP_NET_ADMIN for what is not ours; EBUSY.
Result<Tap> open_tap(const TapOptions& options);

/// "192.0.2.1" in network order. Errors: EINVAL.
Result<std::uint32_t> parse_ipv4(const std::string& text);

}  // namespace vmm::virtio_net
