// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace vmm::net_user {

/// A port of the host whose connections go to the guest.
struct HostForward {
  bool udp = false;
  std::uint32_t host_address = 0;  ///< IPv4, in network order
  std::uint16_t host_port = 0;
  std::uint16_t guest_port = 0;

  friend bool operator==(const HostForward&, const HostForward&) = default;
};

/// Reads "tcp:PORT:PORT" or "udp:ADDRESS:PORT:PORT": first of the host, whose address is 127.0.0.1
/// when it is not given, then of the guest. nullopt for anything else.
[[nodiscard]] std::optional<HostForward> parse_host_forward(std::string_view text);

}  // namespace vmm::net_user
