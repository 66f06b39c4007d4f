// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace vmm::virtio_vsock {

/// The first line of a client on the host, "CONNECT 1024\n".
struct Greeting {
  std::uint32_t port = 0;
  std::size_t bytes = 0;  ///< of the line; what follows belongs to the connection
};

/// The longest line; a client has no reason for one.
inline constexpr std::size_t kMaxGreeting = 32;

enum class GreetingState { kPartial, kBad, kDone };

/// Reads the line from what a client has sent until now. Case does not matter, nor do blanks around
/// the port, nor a carriage return before the newline.
[[nodiscard]] GreetingState parse_greeting(std::string_view text, Greeting* greeting);

}  // namespace vmm::virtio_vsock
