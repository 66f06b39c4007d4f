// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#include "host_forward.h"

#include <arpa/inet.h>

#include <charconv>
#include <string>
#include <vector>

namespace vmm::net_user {
namespace {

std::vector<std::string_view> split(std::string_view text) {
  std::vector<std::string_view> parts;
  for (;;) {
    const std::size_t colon = text.find(':');
    parts.push_back(text.substr(0, colon));
    if (colon == std::string_view::npos) return parts;
    text.remove_prefix(colon + 1);
  }
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const char* const end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc() || at != end || port == 0) return std::nullopt;
  return port;
}

}  // namespace

std::optional<HostForward> parse_host_forward(std::string_view text) {
  std::vector<std::string_view> parts = split(text);
  if (parts.size() == 3) parts.insert(parts.begin() + 1, "127.0.0.1");
  if (parts.size() != 4 || (parts[0] != "tcp" && parts[0] != "udp")) return std::nullopt;
  in_addr address{};
  const auto host_port = parse_port(parts[2]);
  const auto guest_port = parse_port(parts[3]);
  if (!host_port || !guest_port ||
      ::inet_pton(AF_INET, std::string(parts[1]).c_str(), &address) != 1) {
    return std::nullopt;
  }
  return HostForward{.udp = parts[0] == "udp",
                     .host_address = address.s_addr,
                     .host_port = *host_port,
                     .guest_port = *guest_port};
}

}  // namespace vmm::net_user
