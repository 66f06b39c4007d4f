// SPDX-License-Identifier: Apache-2.0 OR BSD-3-Clause
#pragma once

#include <chrono>
#include <cstdint>

namespace vmm::virtio_vsock {

/// What one device may use of the host, and how long it waits, without the time in which its thread
/// stands still, as in a pause of the VM. Both sides get their connections from one budget.
struct Limits {
  std::uint32_t connections = 1024;  ///< at once; one that is beyond is refused
  std::uint32_t clients = 64;        ///< of the host that have not said yet what they want

  // What a connection keeps for a host that is slower than the guest; it is what the guest is told
  // (buf_alloc), so no byte of it is promised twice. Connections of messages may use twice as much.
  std::uint32_t buffer_bytes = 256 << 10;       ///< of the first connections
  std::uint32_t large_buffers = 128;            ///< how many those are
  std::uint32_t small_buffer_bytes = 32 << 10;  ///< of the others

  std::chrono::milliseconds greeting{5000};  ///< a client's CONNECT line, from its first moment
  std::chrono::milliseconds request{5000};   ///< the guest's answer to a request
  std::chrono::milliseconds backlog{2000};   ///< for room at a listener of the host
  std::chrono::milliseconds close{8000};     ///< the guest's reset after both directions ended
  std::chrono::milliseconds tick{50};        ///< how often these are looked at, at least 1
  /// The host may take that long for each next part of what the guest left it.
  std::chrono::milliseconds linger{30000};

  /// The largest message of the host, of which each connection of messages may hold one: the part
  /// that the guest's buffer had no room for.
  static constexpr std::uint32_t kMaxMessage = 256 << 10;

  /// The most payload that all connections together may hold, in bytes, when all are of messages.
  [[nodiscard]] constexpr std::uint64_t most_held() const {
    const std::uint32_t large = large_buffers < connections ? large_buffers : connections;
    const std::uint64_t for_host = std::uint64_t{large} * buffer_bytes +
                                   std::uint64_t{connections - large} * small_buffer_bytes;
    return 2 * for_host + std::uint64_t{connections} * kMaxMessage;
  }
};

}  // namespace vmm::virtio_vsock
