// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <sys/socket.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "vmm/base/unique_fd.h"

namespace vmm {

/// All packets of a network interface, both ways, for tests; needs root. Packets of the kernel
/// itself come by too.
class Wire {
 public:
  explicit Wire(const std::string& interface)
      : fd_(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_ALL))) {
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(::if_nametoindex(interface.c_str()));
    REQUIRE(::bind(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0);
  }

  template <class Byte>
  void send(const std::vector<Byte>& frame) const {
    REQUIRE(::send(fd_.get(), frame.data(), frame.size(), 0) == std::ssize(frame));
  }
  /// Whether the frame has come by.
  template <class Byte>
  [[nodiscard]] bool has(const std::vector<Byte>& frame) const {
    std::vector<std::byte> got(70000);
    for (;;) {
      const ssize_t bytes = ::recv(fd_.get(), got.data(), got.size(), 0);
      if (bytes < 0) return false;
      const auto received = std::span(got).first(static_cast<std::size_t>(bytes));
      if (std::ranges::equal(received, std::as_bytes(std::span(frame)))) return true;
    }
  }
  /// Whether it comes by within half a minute.
  template <class Byte>
  [[nodiscard]] bool gets(const std::vector<Byte>& frame) const {
    for (int i = 0; i < 3000; ++i) {
      if (has(frame)) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    return false;
  }

 private:
  UniqueFd fd_;
};

}  // namespace vmm
